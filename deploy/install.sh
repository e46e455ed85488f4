#!/bin/sh
# Install linkrouter on this machine (Debian 12 or newer). Safe to run twice: what is there and may be yours is left alone.
#
#   install.sh router HOSTNAME CENTRE_URL     a region's pair of routers in two colours, behind HAProxy
#   install.sh central                        the centre
#   install.sh colour blue|green [SOURCE]     another version for the colour that is not active; then linkrouter-deploy
#   install.sh uninstall [--purge]            programs and units; with --purge keys, settings and clicks, too
#
# SOURCE is what pip can install, such as a checkout or a wheel, or a folder with pins.txt and wheels, or a program. By
# default it is what this script came with: a checkout, a bundle that needs no network, or the package's program.
# The Debian package has this script as linkrouter-install.
set -eu
umask 022  # programs and settings are for the services' users to read; what is secret has its own mode

here=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "$0")")" && pwd)
etc=/etc/linkrouter
opt=/opt/linkrouter
haproxy=/etc/haproxy/linkrouter
units=/etc/systemd/system
routers="blue-1 blue-2 green-1 green-2"
source=$here/..
for kind in wheels program; do [ ! -e "$here/../$kind" ] || source=$here/../$kind; done
packaged=
[ ! -e "$here/../program" ] || packaged=yes  # it has brought users, commands and manual pages

say() { echo "install.sh: $*" >&2; }
stop() { say "$*"; exit 3; }
usage() { sed -n '4,9s/^# *//p' "$0" >&2; exit 2; }

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
    [ "$packaged" ] || python3 -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || missing="$missing python3-venv"
    for need in "$@"; do command -v "$need" >/dev/null || missing="$missing $need"; done
    missing=$(echo "$missing" | sed 's/ ps\>/ procps/')
    [ -z "$missing" ] || stop "missing:$missing; run: apt-get install --no-install-recommends$missing"
}

# program NAME SOURCE: a program of its own with its unit, in $built; nothing uses it yet.
program() {
    say "installing $1"
    built=$opt/releases/$1-$(date -u +%Y%m%dT%H%M%SZ)
    mkdir -p "$opt/releases"
    if [ -e "$2/bin/linkrouter" ]; then
        copy_program "$2"
    elif ! python3 -m venv "$built" || ! install_program "$2"; then
        rm -rf "${built:?}"
        stop "pip could not install $2, see above"
    fi
    case "$1" in central) unit=linkrouter-central.service ;; *) unit=linkrouter-blue@.service ;; esac
    if "$built/bin/python3" -c 'import linkrouter.processes.life_signs' 2>/dev/null; then
        install -m 0644 "$here/systemd/$unit" "$built/unit"
    else
        silent_unit "$here/systemd/$unit" > "$built/unit"
    fi
}

# silent_unit FILE: for an older version, which gives systemd no signs of life and would be taken for dead.
silent_unit() { sed 's/^Type=notify/Type=exec/; /^WatchdogSec=/d' "$1"; }

# copy_program SOURCE: hard links where they can be, for no program is ever changed: the package's next version comes as
# new files, and this one stays whole.
copy_program() {
    cp -al "$1" "$built" 2>/dev/null || { rm -rf "${built:?}"; cp -a "$1" "$built"; }
    sed -i "1s|^#!.*|#!$built/bin/python3|" "$built/bin/linkrouter"
}

# install_program SOURCE: with pip. A bundle has the versions in it. Otherwise it gets those that the programs before it
# got, so that blue and green differ in linkrouter alone, unless SOURCE needs newer ones.
install_program() {
    pip="$built/bin/pip --disable-pip-version-check"
    if [ -e "$1/pins.txt" ]; then
        $pip install --quiet --no-index --no-deps --require-hashes --find-links "$1" -r "$1/pins.txt"
        return
    fi
    [ -e "$opt/versions.txt" ] || : > "$opt/versions.txt"
    if ! $pip install --quiet --constraint "$opt/versions.txt" "$1"; then
        say "the versions in $opt/versions.txt do not do for $1; trying the newest"
        $pip install --quiet "$1" || return
    fi
    $pip freeze --exclude linkrouter > "$opt/versions.txt.new"
    mv "$opt/versions.txt.new" "$opt/versions.txt"
}

# place_unit NAME: program and unit change together, so that a colour that nobody has changed starts as it always did.
place_unit() {
    case "$1" in central) unit=linkrouter-central.service ;; *) unit=linkrouter-$1@.service ;; esac
    if [ -e "$opt/$1/unit" ]; then
        install -m 0644 "$opt/$1/unit" "$units/$unit"
    elif [ -e "$opt/$1" ]; then  # made by an older install.sh
        silent_unit "$units/$unit" > "$units/$unit.new"
        mv "$units/$unit.new" "$units/$unit"
    fi
    [ ! -d /run/systemd/system ] || systemctl daemon-reload
}

# activate NAME: let $opt/NAME be what was built; $before is what it was.
activate() {
    before=$(readlink "$opt/$1" || true)
    if [ -z "$before" ] && [ -e "$opt/$1" ]; then
        before=$opt/releases/$1-first  # made by an older install.sh; it runs only where it was made
        rm -rf "$before"
        mv "$opt/$1" "$before"
    fi
    ln -sfn "$built" "$opt/$1"
    place_unit "$1"
    for old in "$opt/releases/$1"-*; do
        [ "$old" = "$built" ] || [ "$old" = "$before" ] || rm -rf "${old:?}"
    done
}

# deactivate NAME: what it was before `activate`.
deactivate() {
    rm -f "$opt/$1"
    case "$before" in
        *-first) mv "$before" "$opt/$1" ;;
        ?*) ln -sfn "$before" "$opt/$1" ;;
    esac
    place_unit "$1"
}

token() { python3 -c 'import secrets; print(secrets.token_urlsafe(32))'; }

prepare() {
    if [ -z "$packaged" ]; then
        install -D -m 0644 "$here/linkrouter.sysusers" /usr/lib/sysusers.d/linkrouter.conf
        install -D -m 0644 "$here/linkrouter.tmpfiles" /usr/lib/tmpfiles.d/linkrouter.conf
    fi
    systemd-sysusers /usr/lib/sysusers.d/linkrouter.conf
    systemd-tmpfiles --create /usr/lib/tmpfiles.d/linkrouter.conf
    for name in ingest api; do  # as older versions called them
        if [ -e "$etc/$name-token" ] && [ ! -e "$etc/$name-tokens" ]; then mv "$etc/$name-token" "$etc/$name-tokens"; fi
    done
    secret "$etc/ingest-tokens" token
}

# commands NAME: what an operator types, of the program NAME, with its manual pages and completions.
commands() {
    mkdir -p "$opt"
    if [ "$packaged" ]; then ln -sfn "$here" "$opt/deploy"; return; fi
    [ ! -L "$opt/deploy" ] || rm "$opt/deploy"
    install -D -m 0644 -t "$opt/deploy" "$here"/*.py
    install -m 0755 -t "$opt/deploy" "$here/linkrouter-deploy" "$here/certificate-renewed"
    ln -sf "$opt/deploy/linkrouter-deploy" /usr/local/sbin/linkrouter-deploy
    ln -sf "$opt/$1/bin/linkrouter" /usr/local/bin/linkrouter
    "$opt/$1/bin/python3" "$here/packaging/manual.py" /usr/local/share || say "wrote no manual pages, see above"
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
    [ -e "$haproxy/names.txt" ] || echo "$1" | tr A-Z a-z > "$haproxy/names.txt"
    [ -e "$haproxy/colour.map" ] || echo "colour blue" > "$haproxy/colour.map"
    if [ ! -e "$haproxy/crt-list.txt" ]; then
        say "made a self-signed certificate for $1; README.md says how to get a real one"
        secret "$haproxy/$1.pem" openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -days 90 \
            -subj "/CN=$1" -addext "subjectAltName=DNS:$1" -keyout - 2>/dev/null
        openssl x509 -in "$haproxy/$1.pem" -out "$haproxy/self-signed.crt"  # linkrouter-deploy trusts it while it is here
        echo "$haproxy/$1.pem" > "$haproxy/crt-list.txt"
    fi
    if ! grep -q COLOUR_MAP /etc/haproxy/haproxy.cfg; then
        [ ! -e /etc/haproxy/haproxy.cfg ] || mv /etc/haproxy/haproxy.cfg /etc/haproxy/haproxy.cfg.before-linkrouter
        install -m 0644 "$here/../haproxy/haproxy.cfg" /etc/haproxy/haproxy.cfg
        [ -e /proc/net/if_inet6 ] || sed -i 's/":80,:::80"/":80"/; s/":443,:::443"/":443"/' /etc/haproxy/haproxy.cfg
    else
        keep 0644 "$here/../haproxy/haproxy.cfg" /etc/haproxy/haproxy.cfg
    fi
    install -D -m 0644 "$here/systemd/haproxy.conf" "$units/haproxy.service.d/linkrouter.conf"
    haproxy -c -q -f /etc/haproxy/haproxy.cfg || stop "/etc/haproxy/haproxy.cfg is wrong, see above; haproxy was not touched"
    check_files
}

# check_files: haproxy -c does not try what its start needs: two open files for each of CONNECTIONS, and some.
check_files() {
    connections=$(sed -n 's/^ *setenv CONNECTIONS *\([0-9]*\).*/\1/p' /etc/haproxy/haproxy.cfg)
    need=$((connections * 2 + 100))
    if ! (ulimit -n "$need") 2>/dev/null; then
        most=$(ulimit -Hn)
        fits=$(((most - 100) / 2))
        say "haproxy needs $need open files for CONNECTIONS $connections, and a process here may have $most"
        stop "set CONNECTIONS to $fits and BUSY to $((fits * 3 / 4)) at the top of /etc/haproxy/haproxy.cfg (both, for with BUSY above CONNECTIONS nothing limits a single source), then run this again"
    fi
}

install_routers() {
    check_machine haproxy openssl ps  # ps stands for procps, whose kill the reload of Debian's haproxy needs
    prepare
    for colour in blue green; do
        if [ -x "$opt/$colour/bin/linkrouter" ]; then
            say "left the program of $colour as it is; for this version: install.sh colour $colour"
        else
            program "$colour" "$source"
            activate "$colour"
        fi
    done
    commands blue
    [ -e "$etc/keys.json" ] || "$opt/blue/bin/linkrouter" keys create "$etc/keys.json"
    [ -e "$etc/router.env" ] || sed "s#^LINKROUTER_INGEST_URL=.*#LINKROUTER_INGEST_URL=$2#" "$here/env/router.env" > "$etc/router.env"
    [ -e "$etc/domains.toml" ] || echo "[domains]" > "$etc/domains.toml"
    for router in $routers; do keep 0644 "$here/env/$router.env" "$etc/$router.env"; done
    if [ ! -e "$etc/canaries" ]; then
        "$opt/blue/bin/linkrouter" keys canary "$etc/keys.json" "$1" > "$etc/canaries"
    fi
    install_haproxy "$1"
    start linkrouter-blue@1 linkrouter-blue@2 linkrouter-green@1 linkrouter-green@2
    if [ -d /run/systemd/system ]; then
        systemctl reload-or-restart haproxy || stop "haproxy does not start; 'journalctl -u haproxy' says why"
        wait_for_routers || stop "the routers do not get ready; 'linkrouter-deploy status' says which"
    fi
    say "done; 'linkrouter-deploy status' says who serves"
}

# wait_for_routers: until HAProxy has found those of the active colour ready.
wait_for_routers() {
    for _ in $(seq 120); do
        ! "$opt/deploy/linkrouter-deploy" status >/dev/null 2>&1 || return 0
        sleep 0.5
    done
    return 1
}

install_central() {
    check_machine
    prepare
    secret "$etc/api-tokens" token
    keep 0644 "$here/env/central.env" "$etc/central.env"
    program central "$source"
    if [ -e "$opt/central" ]; then upgrade_central; else activate central; start linkrouter-central; fi
    install_backups
    [ -e "$opt/blue" ] || commands central
    say "done; central is $("$opt/central/bin/linkrouter" --version)"
}

# install_backups: a nightly one, unless the database has tools of its own for that.
install_backups() {
    install -m 0644 "$here/systemd/linkrouter-backup.service" "$here/systemd/linkrouter-backup.timer" "$units"
    if grep -q '^LINKROUTER_DATABASE=sqlite:' "$etc/central.env"; then
        start linkrouter-backup.timer
        say "each night the database is copied to /var/backups/linkrouter, for 14 days"
    else
        say "the database is not SQLite; docs/backup.md says how others are backed up"
    fi
}

# upgrade_central: with a copy of its database, and back to both when the new one does not get ready. Routers keep their
# clicks meanwhile.
upgrade_central() {
    if [ -d /run/systemd/system ]; then systemctl stop linkrouter-central; fi
    database=$(sed -n 's#^LINKROUTER_DATABASE=sqlite:///##p' "$etc/central.env")
    copy=
    if [ -n "$database" ] && [ -e "$database" ]; then
        copy=$database.before-$(date -u +%Y%m%dT%H%M%SZ)
        copy_database "$database" "$copy" || { start_central; stop "the database could not be copied, see above"; }
        say "copied the database to $copy; remove it when you need it no more"
    else
        say "made no copy of a database: LINKROUTER_DATABASE names no file here"
    fi
    activate central
    start_central
    [ -d /run/systemd/system ] || { say "systemd does not run here; start linkrouter-central where it does"; return; }
    if ! wait_for_central; then
        systemctl stop linkrouter-central
        deactivate central
        [ -z "$copy" ] || { rm -f "$database-wal" "$database-shm"; cp -p "$copy" "$database"; }
        start_central
        stop "the new version did not get ready (journalctl -u linkrouter-central); the one before runs again, on its database"
    fi
}

# start_central: the program that is active, by the unit that fits it; returns at once.
start_central() {
    if [ -d /run/systemd/system ]; then systemctl daemon-reload; systemctl start --no-block linkrouter-central; fi
}

# copy_database FROM TO: by the new program; as its owner, for root's files would lock that out.
copy_database() {
    setpriv --reuid="$(stat -c %u "$1")" --regid="$(stat -c %g "$1")" --clear-groups \
        "$built/bin/linkrouter" central backup --database "sqlite:///$1" "$2"
}

# wait_for_central: as long as it takes to bring the database up to date; not 0 once it has failed.
wait_for_central() {
    say "waiting until it is ready; a large database of an older version takes minutes"
    while sleep 0.5; do
        case "$(systemctl is-active linkrouter-central)" in
            active) answers && return ;;
            failed | inactive) return 1 ;;
        esac
        [ "$(systemctl show -P NRestarts linkrouter-central)" = 0 ] || return 1
    done
}

answers() {
    python3 -c 'if True:
        import sys, urllib.request
        try:
            sys.exit(urllib.request.urlopen(f"http://{sys.argv[1]}/-/ready", timeout=2).status != 200)
        except OSError:
            sys.exit(1)
        ' "$(sed -n 's/^LINKROUTER_LISTEN=//p' "$etc/central.env")"
}

install_colour() {
    check_machine haproxy
    [ "$(cat "$haproxy/colour.map")" != "colour $1" ] || stop "$1 is active; install the other colour, then switch to it"
    program "$1" "$2"
    if [ -d /run/systemd/system ]; then systemctl stop "linkrouter-$1@1" "linkrouter-$1@2"; fi
    activate "$1"
    commands "$1"
    say "done; now run: linkrouter-deploy switch $1"
}

# uninstall [--purge]: without it, installing again goes on where this ends.
uninstall() {
    [ "$(id -u)" = 0 ] || stop "this must be root; run it with sudo"
    if [ -d /run/systemd/system ]; then
        for unit in linkrouter-backup.timer linkrouter-central $(echo "$routers" | sed -E 's/([a-z]+)-([0-9])/linkrouter-\1@\2/g'); do
            systemctl disable --quiet --now "$unit" 2>/dev/null || true
        done
    fi
    rm -f "$units/linkrouter-central.service" "$units/linkrouter-blue@.service" "$units/linkrouter-green@.service"
    rm -f "$units/linkrouter-backup.service" "$units/linkrouter-backup.timer"
    rm -f "$units/haproxy.service.d/linkrouter.conf"
    rmdir "$units/haproxy.service.d" 2>/dev/null || true
    rm -rf "$opt"
    if [ -z "$packaged" ]; then
        rm -f /usr/local/sbin/linkrouter-deploy /usr/local/bin/linkrouter /usr/lib/sysusers.d/linkrouter.conf /usr/lib/tmpfiles.d/linkrouter.conf
        rm -f /usr/local/share/man/man[18]/linkrouter*.[18] /usr/local/share/bash-completion/completions/linkrouter \
            /usr/local/share/zsh/site-functions/_linkrouter /usr/local/share/fish/vendor_completions.d/linkrouter.fish
    fi
    [ ! -d /run/systemd/system ] || systemctl daemon-reload
    [ -z "${1-}" ] || sh "$here/packaging/postrm" purge
    say "done"
}

case "$#:${1-}:${2-}" in
    3:router:*) install_routers "$2" "$3" ;;
    1:central:) install_central ;;
    [23]:colour:blue | [23]:colour:green) install_colour "$2" "${3-$source}" ;;
    1:uninstall: | 2:uninstall:--purge) uninstall "${2-}" ;;
    *) usage ;;
esac
