#!/bin/sh
# The whole way, from nothing: train, evaluate, deploy at the simulated arm, log, import, learn from the log, judge.
#   scripts/demo.sh BIN DIRECTORY      BIN has `robolearn` and `python`; everything is left in DIRECTORY
set -e
bin=$1 out=$2

say() { printf '\n--- %s\n' "$*"; }

say "train grasping from two 64 x 64 cameras, and evaluate it on 100 held-out episodes"
"$bin/robolearn" train grasp --minutes 4 --run "$out" --evaluate 100

if "$bin/python" -c 'import rclpy' 2>/dev/null; then
    say "deploy it at the simulated arm: ROS 2 nodes in real time, behind the safety monitor"
    "$bin/robolearn" up sim --policy "$out" --episodes 10 --log "$out/log"
else
    say "rclpy is not here, so deploy it at the simulated arm in one process: the same monitor, the same log"
    "$bin/robolearn" up sim --policy "$out" --episodes 10 --log "$out/log" --one-process
fi

say "what the arm did becomes training data"
"$bin/robolearn" data import "$out/log" --to "$out/store"

say "learn from it, with 40 more episodes (few, to be quick: 100 and more is what it is made for)"
"$bin/robolearn" finetune "$out" --data "$out/store" --run "$out/finetuned" \
    --episodes 40 --round 10 --duel 10 --warm 200 --steps 100

say "may the new policy take the old one's place? (40 episodes and 1 rehearsal, to be quick; usually 200 and 3)"
"$bin/robolearn" gate "$out/finetuned" --against "$out" --data "$out/store" --out "$out/gate" \
    --episodes 40 --rehearsals 1 --updates 500 ||
    say "the gate says no: without evidence that it is as good, the old policy stays"

say "look at $out/report.html, $out/finetuned/report.html and $out/gate"
