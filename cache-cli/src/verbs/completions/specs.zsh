
_buildcache_specs() {
    if (( CURRENT > 2 )) && [[ $words[2] != (completions|help) && $words[CURRENT] != -* ]]; then
        local -a candidates
        candidates=("${(@f)$($words[1] __complete -- "$words[CURRENT]" 2>/dev/null)}")
        if [[ -n $candidates[1] ]]; then
            compadd -Q -S '' -- $candidates
            return
        fi
    fi
    _buildcache "$@"
}
compdef _buildcache_specs buildcache
