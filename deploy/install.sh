#!/bin/sh
# Install linkrouter on this machine (Debian 12 or newer). Safe to run twice: what is there and may be yours is left alone.
#
#   install.sh router HOSTNAME CENTRE_URL     a region's pair of routers in two colours, behind HAProxy
#   install.sh central                        the centre
#   install.sh colour blue|green [SOURCE]     another version for the colour that is not active; then linkrouter-deploy
#
# SOURCE is what pip can install: a checkout (by default the one this script is in) or a wheel.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
etc=/etc/linkrouter
opt=/opt/linkrouter
haproxy=/etc/haproxy/linkrouter

say() { echo "install.sh: $*" >&2; }
stop() { say "$*"; exit 3; }
usage() { sed -n '4,8s/^# *//p' "$0" >&2; exit 2; }

# keep MODE SOURCE TARGET: copy a file unless there is one.
keep() {
    if [ -e "$3" ]; then [ "$(cat "$2")" = "$(cat "$3")" ] || say "left $3 as it is"; else install -m "$1" "$2" "$3"; fi
}

# secret FILE COMMAND...: let a command write a file of mode 0600 unless there is one.
secret() {
    file=$1; shift
    [ -e "$file" ] || (umask 077 && "$@" > "$file.new" && mv "$file.new" "$file" && say "made $file")
}

check_machine() {
    [ "$(id -u)" = 0 ] || stop "this must be root; run it with sudo"
    missing=
    python3 -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || missing="$missing python3-venv"
    for need in "$@"; do command -v "$need" >/dev/null || missing="$missing $need"; done
    [ -z "$missing" ] || stop "missing:$missing; run: apt-get install --no-install-recommends$missing"
}

# program NAME SOURCE: a virtual environment of its own; when it cannot be made, what was there is there again.
program() {
    say "installing $opt/$1"
    mkdir -p "$opt"
    rm -rf "$opt/$1.old"
    [ ! -e "$opt/$1" ] || mv "$opt/$1" "$opt/$1.old"
    if python3 -m venv "$opt/$1" && "$opt/$1/bin/pip" install --quiet --disable-pip-version-check "$2"; then
        rm -rf "$opt/$1.old"
    else
        rm -rf "${opt:?}/$1"
        [ ! -e "$opt/$1.old" ] || mv "$opt/$1.old" "$opt/$1"
        stop "pip could not install $2, see above"
    fi
}

token() { python3 -c 'import secrets; print(secrets.token_urlsafe(32))'; }

prepare() {
    install -D -m 0644 "$here/linkrouter.sysusers" /usr/lib/sysusers.d/linkrouter.conf
    install -D -m 0644 "$here/linkrouter.tmpfiles" /usr/lib/tmpfiles.d/linkrouter.conf
    systemd-sysusers /usr/lib/sysusers.d/linkrouter.conf
    systemd-tmpfiles --create /usr/lib/tmpfiles.d/linkrouter.conf
    secret "$etc/ingest-token" token
}

# start UNIT...: at boot and now.
start() {
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload
        systemctl enable --quiet --now "$@"
    else
        say "systemd does not run here; where it does: systemctl daemon-reload; systemctl enable --now $*"
    fi
}

install_haproxy() {
    mkdir -p "$haproxy"
    [ -e "$haproxy/colour.map" ] || echo "colour blue" > "$haproxy/colour.map"
    if [ ! -e "$haproxy/crt-list.txt" ]; then
        say "made a self-signed certificate for $1; README.md says how to get a real one"
        secret "$haproxy/$1.pem" openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -days 90 \
            -subj "/CN=$1" -addext "subjectAltName=DNS:$1" -keyout - 2>/dev/null
        echo "$haproxy/$1.pem" > "$haproxy/crt-list.txt"
    fi
    if ! grep -q COLOUR_MAP /etc/haproxy/haproxy.cfg; then
        [ ! -e /etc/haproxy/haproxy.cfg ] || mv /etc/haproxy/haproxy.cfg /etc/haproxy/haproxy.cfg.before-linkrouter
        install -m 0644 "$here/../haproxy/haproxy.cfg" /etc/haproxy/haproxy.cfg
        [ -e /proc/net/if_inet6 ] || sed -i 's/":80,:::80"/":80"/; s/":443,:::443"/":443"/' /etc/haproxy/haproxy.cfg
    else
        keep 0644 "$here/../haproxy/haproxy.cfg" /etc/haproxy/haproxy.cfg
    fi
    install -D -m 0644 "$here/systemd/haproxy-limits.conf" /etc/systemd/system/haproxy.service.d/linkrouter.conf
    haproxy -c -q -f /etc/haproxy/haproxy.cfg || stop "/etc/haproxy/haproxy.cfg is wrong, see above; haproxy was not touched"
}

install_routers() {
    check_machine haproxy openssl
    prepare
    for colour in blue green; do [ -x "$opt/$colour/bin/linkrouter" ] || program "$colour" "$here/.."; done
    install -D -m 0644 -t "$opt/deploy" "$here"/*.py
    install -m 0755 -t "$opt/deploy" "$here/linkrouter-deploy" "$here/certificate-renewed"
    ln -sf "$opt/deploy/linkrouter-deploy" /usr/local/sbin/linkrouter-deploy
    ln -sf "$opt/blue/bin/linkrouter" /usr/local/bin/linkrouter
    [ -e "$etc/keys.json" ] || "$opt/blue/bin/linkrouter" keys create "$etc/keys.json"
    [ -e "$etc/router.env" ] || sed "s#^LINKROUTER_INGEST_URL=.*#LINKROUTER_INGEST_URL=$2#" "$here/env/router.env" > "$etc/router.env"
    for router in blue-1 blue-2 green-1 green-2; do keep 0644 "$here/env/$router.env" "$etc/$router.env"; done
    if [ ! -e "$etc/canaries" ]; then
        echo "https://example.com/canary" | "$opt/blue/bin/linkrouter" encode --type text --keys "$etc/keys.json" \
            --base-url "https://$1" 2>/dev/null | sed 's#$# https://example.com/canary#' > "$etc/canaries"
    fi
    for colour in blue green; do
        install -m 0644 "$here/systemd/linkrouter-blue@.service" "/etc/systemd/system/linkrouter-$colour@.service"
    done
    install_haproxy "$1"
    start linkrouter-blue@1 linkrouter-blue@2 linkrouter-green@1 linkrouter-green@2
    if [ -d /run/systemd/system ]; then systemctl reload-or-restart haproxy; fi
    say "done; 'linkrouter-deploy status' says who serves"
}

install_central() {
    check_machine
    prepare
    [ -x "$opt/central/bin/linkrouter" ] || program central "$here/.."
    [ -e /usr/local/bin/linkrouter ] || ln -sf "$opt/central/bin/linkrouter" /usr/local/bin/linkrouter
    secret "$etc/api-token" token
    keep 0644 "$here/env/central.env" "$etc/central.env"
    install -m 0644 "$here/systemd/linkrouter-central.service" /etc/systemd/system/linkrouter-central.service
    start linkrouter-central
    say "done"
}

install_colour() {
    check_machine haproxy
    [ "$(cat "$haproxy/colour.map")" != "colour $1" ] || stop "$1 is active; install the other colour, then switch to it"
    if [ -d /run/systemd/system ]; then systemctl stop "linkrouter-$1@1" "linkrouter-$1@2"; fi
    program "$1" "$2"
    say "done; now run: linkrouter-deploy switch $1"
}

case "$#:${1-}:${2-}" in
    3:router:*) install_routers "$2" "$3" ;;
    1:central:) install_central ;;
    [23]:colour:blue | [23]:colour:green) install_colour "$2" "${3-$here/..}" ;;
    *) usage ;;
esac
