#!/usr/bin/env bash
# install-qemu.sh: makes sure that there is a QEMU with which nom works, on Debian and Ubuntu.
#
# nom needs qemu-system-x86_64 9.2 or later with the igb network card. This script does nothing when it is there.
# Otherwise it installs the package qemu-system-x86, on Debian 12 from bookworm-backports: it adds that suite, from the
# mirror that apt already uses, in a file of its own. It says what it does and can be run again at any time.
set -euo pipefail

readonly WANT_MAJOR=9 WANT_MINOR=2
readonly ETC=${NOM_TEST_ETC:-/etc} # its test has another

say() { printf 'install-qemu: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# qemu_good: QEMU is there, new enough, and has the network card.
qemu_good() {
  local qemu=${NOM_QEMU:-qemu-system-x86_64} version major minor
  command -v "$qemu" >/dev/null || return 1
  version=$("$qemu" --version | sed -nE '1s/.*version ([0-9]+\.[0-9]+).*/\1/p')
  major=${version%%.*} minor=${version#*.}
  [ -n "$version" ] || return 1
  [ "$major" -gt "$WANT_MAJOR" ] || { [ "$major" -eq "$WANT_MAJOR" ] && [ "$minor" -ge "$WANT_MINOR" ]; } || return 1
  local devices
  devices=$("$qemu" -machine none -device help 2>/dev/null) # read whole: grep -q would end QEMU by a broken pipe
  grep -q '"igb"' <<<"$devices"
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "needs root to run: $*"
  fi
}

# mirror: prints "URI SIGNED-BY" of the sources of the suite $1 that apt knows, a line each; SIGNED-BY may be empty.
mirror() {
  local suite=$1 files=()
  shopt -s nullglob
  files=("$ETC/apt"/sources.list.d/*.sources)
  if [ ${#files[@]} -gt 0 ]; then
    awk -v suite="$suite" '
      function flush() { if (deb && has && uri && !off && !done++) print uri, key; deb = has = off = 0; uri = key = "" }
      FNR == 1 { flush() }
      /^[ \t]*$/ { flush(); next }
      /^#/ { next }
      { field = tolower($1) }
      field == "enabled:" && tolower($2) == "no" { off = 1 }
      field == "types:" { for (i = 2; i <= NF; i++) if ($i == "deb") deb = 1 }
      field == "uris:" { uri = $2 }
      field == "suites:" { for (i = 2; i <= NF; i++) if ($i == suite) has = 1 }
      field == "signed-by:" && $2 ~ /^\// { key = $2 }
      END { flush() }' "${files[@]}"
  fi
  files=("$ETC/apt"/sources.list.d/*.list)
  [ ! -f "$ETC/apt/sources.list" ] || files=("$ETC/apt/sources.list" "${files[@]}")
  [ ${#files[@]} -gt 0 ] || return 0
  awk -v suite="$suite" '
    $1 == "deb" {
      key = ""; at = 2
      if ($2 ~ /^\[/) {
        for (; at <= NF; at++) {
          option = $at; gsub(/[][]/, "", option)
          if (option ~ /^signed-by=/) key = substr(option, 11)
          if ($at ~ /\]$/) break
        }
        at++
      }
      if ($(at + 1) == suite) { print $at, key; exit }
    }' "${files[@]}"
}

# add_backports: makes apt know the suite $1-backports.
add_backports() {
  local base=$1 uri key
  if [ -n "$(mirror "$base-backports")" ]; then
    say "apt already knows $base-backports"
    return
  fi
  read -r uri key < <(mirror "$base"; echo) || true
  [ -n "$uri" ] || die "found no source of $base in $ETC/apt: add $base-backports by hand, then run this again"
  local file=$ETC/apt/sources.list.d/nom-backports.list
  say "adding $base-backports to apt's sources, in $file"
  printf 'deb %s%s %s-backports main\n' "${key:+[signed-by=$key] }" "$uri" "$base" | as_root tee "$file" >/dev/null
}

# install [SUITE]
install() {
  say "installing the package qemu-system-x86${1:+ from $1}"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q >&2
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends ${1:+-t "$1"} qemu-system-x86 >&2
}

main() {
  if qemu_good; then
    return
  fi
  local ID='' VERSION_ID='' VERSION_CODENAME='' PRETTY_NAME=''
  # shellcheck source=/dev/null
  [ ! -r "$ETC/os-release" ] || . "$ETC/os-release"
  command -v apt-get >/dev/null ||
    die "no apt-get on ${PRETTY_NAME:-this system}: install QEMU $WANT_MAJOR.$WANT_MINOR or later (qemu-system-x86_64) yourself"
  case $ID:${VERSION_ID%%.*} in
    debian:12)
      add_backports bookworm
      install bookworm-backports
      ;;
    debian:* | ubuntu:*) install ;;
    *)
      say "trying what the package manager of ${PRETTY_NAME:-this system} has"
      install
      ;;
  esac
  qemu_good || die "the QEMU that ${PRETTY_NAME:-this system} has is older than $WANT_MAJOR.$WANT_MINOR or lacks igb: \
install a newer one (Debian 13, Ubuntu 25.04 and later have it) and set NOM_QEMU to its path"
}

main
