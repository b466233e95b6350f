#!/usr/bin/env bash
# Audits of examples/ beside each other, within four and a half minutes of one GPU and 16 cores: on the GPU
# extract-ml1m-narm, extract-ml1m-bert4rec and extract-beauty, on the cores frontier-rank-law,
# rank-law-guesses and proxy-ml1m.
#   RECSEC_MIRROR=... TARGET=runs/ml1m/sasrec bash benchmarks/gpu_extraction.sh [OUT] [WORK]
# Each report is in OUT when its audit ends, each ownership row when it is measured; at SECONDS_LEFT everything is
# ended. What small files an unfinished run has, and the copies that theft_cost.py prices, are in OUT/runs.tar.
# PLANS="frontier-rank-law-fresh:14" runs others, with so many processes; SMALL=1 rehearses it with few calls.
set -um  # every job is a process group, which can be ended as a whole
root=$(cd "$(dirname "$0")/.." && pwd)
out=$(mkdir -p "${1:-gpu_extraction}" && cd "${1:-gpu_extraction}" && pwd)
work=$(mkdir -p "${2:-gpu_extraction/work}" && cd "${2:-gpu_extraction/work}" && pwd)
target=$(cd "${TARGET:-$root/runs/ml1m/sasrec}" && pwd)
end=$(($(date +%s) + ${SECONDS_LEFT:-255})) python=${PYTHON:-python3} cores=$(nproc)
left() { echo $((end - $(date +%s))); }
say() { echo "$(left) s left: $*" >> "$out/clock.txt"; }
mkdir -p "$work/runs/ml1m" && cd "$work" || exit 1
[ -e runs/ml1m/sasrec ] || cp -r "$target" runs/ml1m/sasrec
[ -e runs/ml1m/owner.key ] || "$python" -m recsec verify keygen --out runs/ml1m/owner.key > "$out/key.log" 2>&1
few=(-e '/^users/d' -e 's/^recheck.*/&\nusers = 100/' -e 's/^calls.*/calls = 400/' -e 's/^twins.*/twins = 0/' -e 's/^sessions.*/sessions = 4/'
  -e 's/^length.*/length = 20/' -e 's/^seeds.*/seeds = 1/' -e 's/^settings.*/settings = { epochs = 1, max_length = 20, embedding_dim = 16 }/' -e '/^train/,/^data/s/^data.*/data = "ml-100k"/')
audit() {  # name of the plan, processes
  sed -e "s/^workers.*/workers = $2/" "$root/examples/$1.toml" > "$1.toml"
  [ -z "${SMALL:-}" ] || sed -i "${few[@]}" "$1.toml"
  say "start $1"
  "$python" -m recsec audit "$1.toml" --out "runs/$1" > "$out/$1.log" 2>&1
  say "end $1, exit code $?"
  cp "runs/$1/report.json" "$out/$1.json" 2> /dev/null
}
own() {  # result, rows, then what is stolen how
  local name=$1 rows=$2
  shift 2
  "$python" "$root/benchmarks/ml1m_watermark.py" --target runs/ml1m/sasrec --out "runs/$name" --results "$out/$name" \
    --calls 12500 25000 --only "$rows" "$@" > "$out/$name.log" 2>&1
  say "end $name, exit code $?"
}
jobs=()
marked="^marked copy, 12500|removal: (copy|30|50)"
if [ -z "${PLANS:-}" ]; then
  { own ownership-misinform "$marked" --policy rank-law --before misinform; own ownership-proxy "$marked" --policy proxy --proxy ml-100k; } &
  jobs+=($!)
  own ownership-leaked "^marked copy, 12500|who leaked|removal: (copy|30|50)" --bias 0.1 &
  jobs+=($!)
fi
many=$((cores > 8 ? cores - 7 : 2))
for job in ${PLANS:-frontier-rank-law:$many extract-ml1m-narm:1 extract-ml1m-bert4rec:1 extract-beauty:2 rank-law-guesses:3 proxy-ml1m:2}; do
  audit "${job%:*}" "${job#*:}" &
  jobs+=($!)
done
while [ "$(left)" -gt 0 ] && [ -n "$(jobs -rp)" ]; do sleep 1; done
say "over"
for pid in "${jobs[@]}"; do kill -KILL -- "-$pid" 2> /dev/null; done
cp runs/ml1m/owner.key "$out/"
small() { find runs/*/ -type f -size -2M ! -path "*/resume/*" ! -path "*/surrogate/*" ! -path "*/rounds/*" ! -path "runs/ml1m/*"; }
priced() { find runs/frontier-rank-law -type f \( -path "*/misinform.rank-law-*" -o -path "*/surrogate/mixed-*" \) ! -path "*/resume/*"; }
{ priced; small; } 2> /dev/null | sort -u | timeout 8 tar cf "$out/runs.tar" -T -
say "packed"
