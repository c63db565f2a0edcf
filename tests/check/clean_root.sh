#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# clean_root.sh - ./dev demo and ./dev test of a fresh clone, in a new and minimal Debian
#
# Usage: clean_root.sh [--worktree] [--folder FOLDER] [COMMAND ...]
#
#   --worktree        copy the files as they are now, instead of a clone of the last commit
#   --folder FOLDER   where the root is made (/var/tmp/loopdog-cleanroom); FOLDER/root is kept for a look afterwards
#   COMMAND           what to run in the clone by the shell, instead of './dev demo' './dev test'
#
# Only in a root that has never seen a developer does it show whether ./dev knows all the packages. The first run makes
# FOLDER/base with debootstrap, from where this machine's own apt gets its packages; each run starts with a new copy of
# it. Only downloaded packages are kept between runs.
#
# Context: by hand and by `./dev cleanroom`; needs root and debootstrap
set -eu

repository=$(cd "$(dirname "$0")/../.." && pwd)
folder=/var/tmp/loopdog-cleanroom
from=commit

say() { printf 'cleanroom: %s\n' "$*" >&2; }

die() {
        say "$*"
        exit 1
}

# "URI CODENAME" of each Debian archive that this machine's apt reads.
archives() {
        # shellcheck disable=SC2016 # apt's own variables
        apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(ORIGIN)' 'Created-By: Packages' |
                awk '$3 == "Debian" { print $1, $2 }' | sort -u
}

# This machine's way to the packages (archives, proxies, passwords) for the new root.
copy_apt_settings() { # ROOT
        archives | sed 's/^/deb /; s/$/ main/' >"$1/etc/apt/sources.list"
        apt-config dump | grep -iE '^Acquire::.*(proxy|verify|cainfo)' >"$1/etc/apt/apt.conf.d/99machine" || true
        for file in /etc/apt/auth.conf /etc/apt/auth.conf.d; do
                [ ! -e $file ] || cp -a $file "$1/etc/apt/"
        done
        cp -L /etc/resolv.conf /etc/hosts "$1/etc/"
}

make_base() {
        [ ! -e "$folder/base.complete" ] || return 0
        command -v debootstrap >/dev/null || die "debootstrap is missing: apt-get install debootstrap"
        codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
        mirror=$(archives | awk -v codename="$codename" '$2 == codename { print $1; exit }')
        [ -n "$mirror" ] || die "apt on this machine knows no archive of $codename: apt-get update"
        include=
        case $mirror in
        https:*) include=--include=ca-certificates ;;
        esac
        say "making the base with debootstrap"
        rm -rf "$folder/base"
        # shellcheck disable=SC2086 # empty or one word
        debootstrap --variant=minbase $include "$codename" "$folder/base" "$mirror" >"$folder/debootstrap.log" 2>&1 ||
                die "debootstrap failed: $folder/debootstrap.log"
        touch "$folder/base.complete"
}

# The clone goes to /srv and not to /root: servers that change their user must be able to read the library.
make_root() {
        ! leftovers | grep . >&2 || die "processes of the last run still live in $folder/root (above)"
        rm -rf "$folder/root"
        cp -a --reflink=auto "$folder/base" "$folder/root"
        copy_apt_settings "$folder/root"
        if [ $from = commit ]; then
                git clone --quiet --no-hardlinks "$repository" "$folder/root/srv/loopdog"
        else
                mkdir "$folder/root/srv/loopdog"
                git -C "$repository" ls-files --cached --others --exclude-standard |
                        while read -r file; do [ ! -e "$repository/$file" ] || echo "$file"; done |
                        tar -C "$repository" --create --file=- --files-from=- |
                        tar -C "$folder/root/srv/loopdog" --extract --file=-
        fi
}

# Processes that were started in the new root.
leftovers() {
        for process in /proc/[0-9]*; do
                case $(readlink "$process/root" 2>/dev/null) in
                "$folder/root"*) echo "${process#/proc/} $(tr '\0' ' ' <"$process/cmdline" 2>/dev/null)" ;;
                esac
        done
}

# Runs in a mount name space of its own, so that nothing stays mounted, come what may.
run_inside() { # COMMAND
        # shellcheck disable=SC2016 # for the inner shell
        unshare --mount sh -eu -c '
                mount --rbind /proc "$1/root/proc"
                mount --rbind --make-rslave /sys "$1/root/sys"
                mount -t tmpfs -o mode=1777 tmpfs "$1/root/dev/shm"
                mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$1/root/dev/pts"
                mkdir -p "$1/archives"
                mount --bind "$1/archives" "$1/root/var/cache/apt/archives"
                path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
                exec chroot "$1/root" env -i HOME=/root "PATH=$path" \
                        ${TERM:+"TERM=$TERM"} ${CI:+"CI=$CI"} ${http_proxy:+"http_proxy=$http_proxy"} \
                        ${https_proxy:+"https_proxy=$https_proxy"} ${no_proxy:+"no_proxy=$no_proxy"} \
                        sh -c "cd /srv/loopdog && $2"
        ' sh "$folder" "$1"
}

while [ $# -gt 0 ]; do
        case $1 in
        --worktree) from=worktree ;;
        --folder)
                [ $# -gt 1 ] || die "--folder needs a folder"
                folder=$2
                shift
                ;;
        -*) die "no such option: $1" ;;
        *) break ;;
        esac
        shift
done
[ $# -gt 0 ] || set -- './dev demo' './dev test'
[ "$(id -u)" -eq 0 ] || die "this needs root (debootstrap and chroot)"

mkdir -p "$folder"
folder=$(cd "$folder" && pwd -P)
began=$(date +%s)
make_base
make_root
say "the root is ready after $(($(date +%s) - began)) s: $folder/root"
status=0
for command; do
        say "$command"
        began=$(date +%s)
        run_inside "$command" || status=$?
        say "$command: status $status after $(($(date +%s) - began)) s"
        [ $status -eq 0 ] || break
done
if leftovers | grep . >&2; then
        die "these processes were left behind"
fi
exit $status
