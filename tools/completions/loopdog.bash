# SPDX-License-Identifier: Apache-2.0
# loopdog.bash - completion for bash: `loopdog __complete` knows the options
_loopdog()
{
        local line=${COMP_LINE:0:COMP_POINT} words candidates
        # COMP_WORDS is split at "=" and ":"; what loopdog is asked about is split at blanks.
        read -r -a words <<<"$line"
        [[ $line == *[[:blank:]] ]] && words+=("")
        mapfile -t candidates < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
        if [[ ${#candidates[@]} -eq 0 ]]; then
                COMPREPLY=()
                return
        fi
        # bash replaces only what stands behind the last "=".
        local last=${words[-1]}
        [[ $last == *=* ]] && candidates=("${candidates[@]#"${last%%=*}="}")
        COMPREPLY=("${candidates[@]}")
        [[ ${#candidates[@]} -eq 1 && ${candidates[0]} == *[=\>] ]] && compopt -o nospace 2>/dev/null
        return 0
}
complete -o default -F _loopdog loopdog
