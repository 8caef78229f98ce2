#!/bin/sh
# Make sure that pictures can be drawn without a display: ensure_gl.sh PYTHON
# Installs Mesa's EGL where that needs no password; otherwise says what to ask the administrator for, and fails.
set -u

python=${1:?usage: ensure_gl.sh PYTHON}
packages="libegl1 libgl1-mesa-dri libopengl0"

draws() {
    answer=$("$python" -c 'from robolearn.doctor import probe_rendering as p; print("{driver}, {frames_per_second:.0f} frames/s".format(**p()))' 2>&1)
}

if draws; then
    echo "OpenGL works: $answer"
    exit 0
fi

as_root=none
if [ "$(id -u)" = 0 ]; then
    as_root=""
elif sudo -n true 2>/dev/null; then
    as_root="sudo -n"
fi

if command -v apt-get >/dev/null && [ "$as_root" != none ]; then
    echo "Headless OpenGL is missing: installing $packages"
    $as_root apt-get -qq update
    $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o DPkg::Lock::Timeout=120 install --no-install-recommends -y $packages >/dev/null
    if draws; then
        echo "OpenGL works: $answer"
        exit 0
    fi
fi

{
    echo "$answer" | tail -n 1
    echo
    echo "MuJoCo cannot draw without a display here (MUJOCO_GL=${MUJOCO_GL-is not set}), and robolearn learns from pictures."
    [ -z "${MUJOCO_GL-}" ] || echo "Try it first without that setting: unset MUJOCO_GL"
    echo "Ask the administrator of this machine to run one of"
    echo "  apt-get install $packages              (Debian, Ubuntu)"
    echo "  dnf install mesa-libEGL mesa-dri-drivers libglvnd-opengl   (Fedora)"
    echo "and run make again. \`robolearn doctor\` shows what works."
} >&2
exit 1
