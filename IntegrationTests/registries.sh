# Registries on this machine, for tests of the command line; sourced after support.sh. Images and credentials are the test's own.
rm "$SWIFTLET_HOME/images"
export HOME=$scratch/user REGISTRY_AUTH_FILE=$scratch/user/auth.json
unset DOCKER_CONFIG XDG_RUNTIME_DIR
mkdir -p "$HOME"
cd "$scratch" || exit

registries=()
at_end() { [ ${#registries[@]} = 0 ] || kill "${registries[@]}" 2> /dev/null; }

# serve NAME [LINE...]: a registry with its own storage; the lines go below `http:` and `auth:`. Its address is in $address.
serve() {
    local name=$1 port http=$2 auth=${3:-}
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    address=127.0.0.1:$port
    printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "%s"%s}\n%s\n' \
        "$scratch/$name" "$address" "$http" "$auth" > "$name.yml"
    # The variables of that name are the registry's settings.
    env -u REGISTRY_AUTH_FILE docker-registry serve "$name.yml" > "$name.log" 2>&1 &
    registries+=($!)
    for _ in $(seq 1200); do
        ! (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null || return 0
        sleep 0.1
    done
    fails "a registry starts: $(cat "$name.log")"
}
