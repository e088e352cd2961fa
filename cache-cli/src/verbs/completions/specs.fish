
complete -c buildcache -n 'test (count (commandline -opc)) -gt 1; and not __fish_seen_subcommand_from completions help' \
    -a '(buildcache __complete -- (commandline -ct) 2>/dev/null)'
