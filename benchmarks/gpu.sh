#!/usr/bin/env bash
# Everything that computes, on one GPU in under ten minutes, one thing after the other: SASRec on
# ML-1M, 1 M calls with k = 100, MI-30 on 1,000 pairs at 224 px, hardening for 3 epochs; and whether
# the numbers are those of the CPU.
#   RECSEC_MIRROR=... bash benchmarks/gpu.sh [OUT]
# Each line of OUT/gpu.txt is written as soon as it is known. A step that was cut off goes on when
# it is started again. DEVICE=cpu SMALL=1 rehearses it; SLOW=5 gives each step five times as long.
set -u
here=$(cd "$(dirname "$0")" && pwd)
out=$(mkdir -p "${1:-gpu}" && cd "${1:-gpu}" && pwd)
python=${PYTHON:-python3} device=${DEVICE:-cuda} small=${SMALL:-}
network=hf:$(cd "${RECSEC_MIRROR:-.}" && pwd)/encoders/mobilenet-v2-224
if [ -n "$small" ]; then
  sequences=synthetic:users=300,items=200 photos=photos:items=60,categories=3
  train=(--set epochs=2) calls=20000 pairs=3 epochs=1
else
  sequences=ml-1m photos=fashion train=() calls=1000000 pairs=1000 epochs=3
fi
say() { echo "$*" | tee -a "$out/gpu.txt"; }
step() { # name, seconds at most, command: runs it, says how long it took
  local name=$1 most=$2 begun rc
  shift 2
  begun=$(date +%s)
  timeout "$((most * ${SLOW:-1}))" "$@" > "$out/$name.json" 2> "$out/$name.log"
  rc=$?
  say "$name: exit $rc after $(($(date +%s) - begun)) s"
  "$python" "$here/gpu.py" show "$out/$name.json" | tee -a "$out/gpu.txt"
}
recsec() { "$python" -m recsec "$@" --device "$device" --json --quiet; }
export -f recsec
export python device
say "$("$python" "$here/gpu.py" machine --device "$device")"
step train 150 bash -c 'recsec "$@"' _ train sasrec --data "$sequences" --out "$out/sasrec" "${train[@]}"
step calls 100 "$python" "$here/gpu.py" calls --model "$out/sasrec" --data "$sequences" \
  --device "$device" --calls "$calls"
step evade 150 bash -c 'recsec "$@"' _ evade --model "$network" --data "$photos" --attack mi-30 \
  --eps 0.05 --n "$pairs" --out "$out/evade"
step network 40 bash -c 'recsec "$@"' _ train encoder --data "$photos" --out "$out/network" \
  --set backbone="$network" --set size=224 --set epochs=0
step harden 120 bash -c 'recsec "$@"' _ harden --method target --model "$out/network" \
  --data "$photos" --out "$out/hardened" --set epochs="$epochs"
step same 30 "$python" "$here/gpu.py" same --model "$out/sasrec" --data "$sequences" \
  --network "$network" --photos "$photos" --device "$device"
