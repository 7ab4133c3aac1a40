#!/bin/sh
# Install dcsim with extras into a virtual environment: sh scripts/install.sh VENV EXTRAS
# Uses uv where it is on PATH, else python3's own venv and pip. Leaves the stamp VENV/.has-FIRST_EXTRA.
set -eu

venv=$1
extras=$2
suitable='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))'

die() {
    printf '%s\n' "$@" >&2
    exit 1
}

# The first interpreter that runs and is of a version we support; PYTHON overrides the search.
find_python() {
    for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3 python}; do
        if "$candidate" -c "$suitable" >/dev/null 2>&1; then
            command -v "$candidate"
            return
        fi
    done
    die "dcsim needs Python 3.11, 3.12 or 3.13, found none (${PYTHON:-looked for python3.11 to python3.13, python3})." \
        "On Debian: apt-get install python3 python3-venv. Or name one: make setup PYTHON=/path/to/python"
}

make_venv() {
    python=$(find_python)
    rm -rf "$venv"
    if command -v uv >/dev/null 2>&1; then
        uv venv --quiet --python "$python" "$venv"
    elif "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        "$python" -m venv "$venv"
    else
        die "$python cannot make virtual environments. On Debian: apt-get install python3-venv"
    fi
}

install() {
    if command -v uv >/dev/null 2>&1; then
        uv pip install --quiet --python "$venv/bin/python" --editable ".[$extras]"
        return
    fi
    # A .venv that uv made holds no pip.
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip --upgrade >/dev/null
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check --editable ".[$extras]"
}

# An interpreter that was removed or upgraded since leaves a .venv that does not run: make it anew.
if ! "$venv/bin/python" -c "$suitable" >/dev/null 2>&1; then
    make_venv
fi
echo "Installing dcsim[$extras] into $venv (the first time takes a minute or two) ..."
install
# The development set holds the training set.
case $extras in
    dev,train) touch "$venv/.has-train" "$venv/.has-dev" ;;
    *) touch "$venv/.has-$extras" ;;
esac
