# SPDX-License-Identifier: Apache-2.0
# loopdog.fish - completion for fish: `loopdog __complete` knows the options
function __loopdog_complete
        set -l words (commandline -opc) (commandline -ct)
        loopdog __complete $words[2..-1] 2>/dev/null
end
complete -c loopdog -n 'test (count (__loopdog_complete)) -gt 0' -f -a '(__loopdog_complete)'
