#!/usr/bin/env bash
# All jobs of gpu_224.py beside each other on one GPU, within seven minutes; then the table.
#   RECSEC_MIRROR=... bash benchmarks/gpu_224.sh [OUT] [WORK]
# Eight processes share the card: JOBS="undefended target" gives two jobs all of it.
# DEVICE=cpu SMALL=1 rehearses it with a few photos.
set -u
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-gpu_224} work=${2:-gpu_224/work}
start=$(date +%s) seconds=${SECONDS_LEFT:-400} device=${DEVICE:-cuda}
python=${PYTHON:-python3} small=${SMALL:+--small}
mkdir -p "$out" "$work"
export OMP_NUM_THREADS=2
run() {
  timeout $((start + seconds + 15 - $(date +%s))) "$python" "$here/gpu_224.py" "$1" --work "$work" --out "$out/$1.jsonl" --device "$device" \
    --start "$start" --seconds "$seconds" $small > "$out/$1.log" 2>&1
}
"$python" "$here/gpu_224.py" warm --work "$work" --out "$out" --device "$device" $small
jobs=(${JOBS:-undefended target adversarial curriculum resnet panel factors recipes})
for job in "${jobs[@]}"; do
  run "$job" &
  [ -n "$small" ] && wait
done
wait
"$python" "$here/gpu_224.py" table --work "$work" --out "$out"
