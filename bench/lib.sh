# What the benchmark scripts share. Sourced, by a script that has set -u.

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# install_missing PACKAGE...: false if they cannot be had.
install_missing() {
    local missing=() sudo=() package
    for package; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    echo "${0##*/}: installing ${missing[*]}"
    [ "$(id -u)" = 0 ] || sudo=(sudo)
    "${sudo[@]}" apt-get update -q || true
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
}

port_used() {
    (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# free_ports N: a base port with so many free ones from it on, below those that the kernel gives to
# connections.
free_ports() {
    local base port
    while :; do
        base=$((20000 + RANDOM % 12000))
        for ((port = base; port < base + $1; port++)); do port_used $port && continue 2; done
        break
    done
    echo $base
}
