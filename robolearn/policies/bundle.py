def load_actor(path):
    import torch
    m=torch.load(path,weights_only=False); m.eval(); return m
