
# Specs: bash takes = and : for ends of words, so that only what stands behind the last of them is replaced.
_buildcache_specs() {
    _buildcache "$@"
    local word="${COMP_LINE:0:COMP_POINT}"
    word="${word##*[[:space:]]}"
    if [[ $COMP_CWORD -lt 2 || $word == -* || ${COMP_WORDS[1]} == completions || ${COMP_WORDS[1]} == help ]]; then
        return 0
    fi
    local candidates=()
    mapfile -t candidates < <("${COMP_WORDS[0]}" __complete -- "$word" 2>/dev/null)
    if [[ ${#candidates[@]} -gt 0 ]]; then
        COMPREPLY=("${candidates[@]#"${word%"${word##*[=:]}"}"}")
        compopt -o nospace 2>/dev/null
    fi
    return 0
}
complete -F _buildcache_specs -o bashdefault -o default buildcache
