#!/usr/bin/env bash
# A study on a SLURM allocation: Ray starts on every machine of the job, the study on the first, and both end together.
#
#   sbatch --nodes=4 studies/cluster/slurm.sh studies/demo.yaml --root /shared/mlruns
#
# Needs an environment with scanproof[ray] at the same path on all machines (SCANPROOF_ENV), and data, --root and models
# on a file system that they share; --store s3://bucket/prefix does without a shared --root.
#SBATCH --job-name=scanproof
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --output=scanproof-%j.log
##SBATCH --gpus-per-node=4       # with GPUs: remove one #, and give the study --gpus-per-task 1
set -euo pipefail

study=${1:?usage: sbatch [--nodes=N] slurm.sh STUDY [options of scanproof run]}
shift
source "${SCANPROOF_ENV:-.venv}/bin/activate"

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}'):$((20000 + SLURM_JOB_ID % 20000))

# machines of a partition are open to its other users: Ray obeys only those who know a token, new for each job
umask 077
token=$(mktemp "$PWD/.ray-token-XXXXXXXX")
trap 'rm -f "$token"' EXIT
python -c 'import secrets; print(secrets.token_hex(32))' >"$token"
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$token RAY_USAGE_STATS_ENABLED=0

srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" \
    ray symmetric-run --address "$address" --min-nodes "$SLURM_JOB_NUM_NODES" --num-cpus "$SLURM_CPUS_ON_NODE" \
    --include-dashboard=false --temp-dir "/tmp/ray-$SLURM_JOB_ID" -- \
    scanproof run "$study" --executor ray --address "$address" "$@"
