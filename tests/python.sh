# What the scripts have in common that drive the built programs from Python. To be sourced, at the
# top of the repository.

readonly TARGET=${CARGO_TARGET_DIR:-target}
readonly PROGRAMS=${KEYTURN_PROGRAMS:-$TARGET/debug}

# Ends with 2 unless the programs are built.
want_programs() {
  local program
  for program in keyturn keyturn-lab; do
    if [ ! -x "$PROGRAMS/$program" ]; then
      echo "error: failed to find $PROGRAMS/$program; build it: cargo test --workspace --no-run" >&2
      exit 2
    fi
  done
}

# Makes a virtual environment in a folder, with what a list of requirements pins, unless it is
# there already.
want_environment() {
  local environment=$1 requirements=$2 wanted
  wanted=$(sha256sum "$requirements")
  if [ "$(cat "$environment/installed" 2>/dev/null)" != "$wanted" ]; then
    rm -rf "$environment"
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
    printf '%s\n' "$wanted" >"$environment/installed"
  fi
}
