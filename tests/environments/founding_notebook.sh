#!/usr/bin/env bash
# The founding notebook's environment, for real: NumPy 2 under a PyTorch built for NumPy 1.
#
#   tests/environments/founding_notebook.sh [FOLDER]
#
# Makes a fresh environment in FOLDER (a temporary one by default), examines it, mends it and
# trains in it. Takes some minutes and 6 GB; packages come from the index that pip is set to.
# PYTHON names the interpreter to begin with. FOLDER is left if given, else removed.
set -euo pipefail

repository=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-python3.11}
if [ $# -gt 0 ]; then
    place=$1
    mkdir -p "$place"
else
    place=$(mktemp -d)
    trap 'rm -rf "$place"' EXIT
fi
cd "$place"

fail() {
    echo "FAILED: $1" >&2
    exit 1
}

echo "== the environment"
"$python" -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check \
    torch==2.2.0 torchvision==0.17.0 numpy==2.0.2 timm "$repository[demo]"

echo "== doctor names the cause in its first line and exits with 5"
code=0
env/bin/ecotui doctor >doctor.txt 2>doctor.err || code=$?
cat doctor.txt doctor.err
[ "$code" = 5 ] || fail "exit code $code, not 5"
head -n 1 doctor.txt | grep -q "NumPy 2.0.2 is too new for PyTorch 2.2.0" || fail "the first line"
grep -q "pip install 'numpy<2'" doctor.txt || fail "no remedy"
! grep -q Traceback doctor.txt doctor.err || fail "a traceback"

echo "== a plan changes nothing and exits with 5"
code=0
env/bin/ecotui doctor --fix >plan.txt </dev/null || code=$?
[ "$code" = 5 ] || fail "exit code $code, not 5"
grep -q "  1. .* -m pip install 'numpy<2'" plan.txt || fail "not the smallest change"
env/bin/python -m pip freeze --disable-pip-version-check >before.txt
grep -qx "numpy==2.0.2" before.txt || fail "the plan has changed something"

echo "== doctor --fix --yes mends it, with the smallest change"
env/bin/ecotui doctor --fix --yes >mended.txt || fail "exit code $?"
tail -n 4 mended.txt
env/bin/python -m pip freeze --disable-pip-version-check >after.txt
grep -q "^numpy==1\." after.txt || fail "NumPy is not below 2"
[ "$(grep -v '^numpy==' before.txt)" = "$(grep -v '^numpy==' after.txt)" ] ||
    fail "more than NumPy was changed"
[ -z "$(find env -name '.ecotui*')" ] || fail "something was left behind"

echo "== it is sound, and trains"
env/bin/ecotui doctor >sound.txt || fail "exit code $?"
env/bin/ecotui --headless digits --set train.epochs="${EPOCHS:-2}" >digits.txt || fail "exit code $?"
tail -n 16 digits.txt
echo "PASSED"
