# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Functions shared by the scripts; to be sourced, not run.
#
# Everything fetched or built goes to $build (build/ in the checkout, or
# $AVIC_BUILD) and, keyed by its content, to $cache, which outlives the
# checkout.  Results go to stdout, everything meant for people to stderr.

prog=${0##*/}
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${AVIC_BUILD:-$top/build}
cache=${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/avic-kvm
patches=${AVIC_PATCHES:-$top/patches}
export CCACHE_DIR=${CCACHE_DIR:-$cache/ccache}
export CCACHE_MAXSIZE=${CCACHE_MAXSIZE:-3G}
# The next clone has another path.
export CCACHE_BASEDIR=$build CCACHE_NOHASHDIR=1
# What is not in the cache needn't be preprocessed twice: a quarter of the time.
export CCACHE_DEPEND=1
export LC_ALL=C
# shellcheck disable=SC2034
jobs=${JOBS:-$(nproc)}

# A make above us would hand its jobserver and its variables down.
unset MAKEFLAGS MFLAGS MAKELEVEL GNUMAKEFLAGS

# die MESSAGE: one line on stderr, exit status 1.
die() {
	printf '%s: error: %s\n' "$prog" "$*" >&2
	exit 1
}

# note MESSAGE: a progress line.
note() {
	printf '[%(%H:%M:%S)T] %s\n' -1 "$*" >&2
}

# help_if ARG: --help prints the comment at the top of the calling script.
help_if() {
	[[ ${1:-} != --help && ${1:-} != -h ]] && return
	sed -n '3,/^[^#]/ { /^#/ !d; s/^# \{0,1\}//; p }' "$0"
	exit 0
}

# want LEAST MOST ARG...: --help prints the calling script's comment; if the number of its
# arguments is wrong, it's told how it is called.
want() {
	local least=$1 most=$2 usage
	shift 2
	help_if "${1:-}"
	(($# >= least && $# <= most)) && return
	usage=$(sed -nE "s/^#   (${prog}[^\t]*).*/\1/p" "$0" | paste -sd ';')
	die "usage: ${usage:-$prog}, see --help"
}

# need_v: V=1 has step and boot show their commands; V= was the version of a series once.
need_v() {
	[[ ${V:-0} == [01] ]] || die "V=$V: V=1 shows commands; VERSION=$V is the version of a series"
}
need_v

# args NAMES ARG...: each ARG is a variable and its value, NAME=value, for V or one
# of NAMES (NAME|NAME...), and counts more than the environment.
args() {
	local names=$1 arg
	shift
	help_if "${1:-}"
	for arg in "$@"; do
		[[ $arg =~ ^($names|V)= ]] || die "unknown argument '$arg'"
		export "${arg?}"
	done
	need_v
}

# show COMMAND...: on stderr, if V=1.
show() {
	[[ ${V:-0} == 0 ]] || printf '+ %s\n' "${*@Q}" >&2
}

# cleanup_add PATH: remove PATH when the script ends, however it ends.  What it
# runs in the background ends with it.
_cleanup=()
_cleanup_run() {
	local pids
	pids=$(jobs -p)
	# shellcheck disable=SC2086
	[[ -z $pids ]] || kill $pids 2>/dev/null || :
	((${#_cleanup[@]})) && rm -rf -- "${_cleanup[@]}"
	return 0
}
trap _cleanup_run EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
cleanup_add() {
	_cleanup+=("$1")
}

# step WHAT LOG COMMAND...: run a long command, its output going to LOG; say
# every 30 seconds that it still runs, and show the log's end if it fails.
# Returns the command's status.
step() {
	local what=$1 log=$2 start=$SECONDS pid rc=0 next
	shift 2
	mkdir -p "$(dirname "$log")"
	note "$what"
	show "$@"
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	next=$((start + 30))
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.2
		if ((SECONDS >= next)); then
			note "$what: $((SECONDS - start)) s, $(tail -n 1 "$log" | cut -c 1-90)"
			next=$((SECONDS + 30))
		fi
	done
	wait "$pid" || rc=$?
	if ((rc)); then
		note "$what: failed with status $rc after $((SECONDS - start)) s, end of $log:"
		{ grep -m 8 -iE '(^|[^a-z])error[: ]|No space left' "$log" || :; tail -n 12 "$log"; } |
			awk '!seen[$0]++ { print "    " $0 }' >&2
	fi
	return $rc
}

# hash_of: 20 hex digits for what stands on stdin.
hash_of() {
	sha256sum | cut -c 1-20
}

# A series may have topics, i.e. parts that are posted by themselves.  A comment in
# "series" begins one:
#
#   # topic: NAME [rfc] [on-request] [needs NAME...]
#
# rfc: its mails say so; on-request: mbox and send leave it out unless it's named;
# needs: the topics on top of which it applies and builds.  Without topics, all
# patches are one, whose name is empty.

# series_topics TREE: the names of TREE's topics, in order.
series_topics() {
	[[ ! -f $patches/$1/series ]] || sed -nE 's/^# topic: +([^ ]+).*/\1/p' "$patches/$1/series"
}

# topic_line TREE TOPIC: what stands after its name.
topic_line() {
	[[ ! -f $patches/$1/series ]] ||
		awk -v topic="$2" '$1 == "#" && $2 == "topic:" && $3 == topic { $1 = $2 = $3 = ""; print }' \
			"$patches/$1/series"
}

# topic_has TREE TOPIC OPTION: is the topic rfc or on-request?
topic_has() {
	local options
	options=$(topic_line "$1" "$2")
	[[ " ${options%% needs *} " == *" $3 "* ]]
}

# topic_names TREE TOPIC: the topics that its line says it needs.
topic_names() {
	topic_line "$1" "$2" | awk '{ for (i = 1; i <= NF; i++) { if (found) print $i; if ($i == "needs") found = 1 } }'
}

# topic_needs TREE TOPIC [WITHOUT]: the topics that it needs, in the order of the series,
# with those that they need; WITHOUT is one of those in its line, to do as if it weren't.
topic_needs() {
	local t need all=" $2 "
	local -a topics
	mapfile -t topics < <(series_topics "$1")
	# Backwards: what a topic needs comes before it.
	for ((t = ${#topics[@]} - 1; t >= 0; t--)); do
		[[ $all == *" ${topics[t]} "* ]] || continue
		while read -r need; do
			[[ $all == *" $need "* || ${topics[t]} == "$2" && $need == "${3:-}" ]] || all+="$need "
		done < <(topic_names "$1" "${topics[t]}")
	done
	for t in "${topics[@]}"; do
		[[ $t == "$2" || $all != *" $t "* ]] || echo "$t"
	done
}

# series_files TREE [TOPIC...]: the paths of TREE's patches, or of those of some topics,
# in order.
series_files() {
	local line tree=$1 topic='' wanted
	shift
	wanted=" $* "
	[[ -f $patches/$tree/series ]] || return 0
	while read -r line; do
		if [[ $line =~ ^#\ topic:\ +([^ ]+) ]]; then
			topic=${BASH_REMATCH[1]}
		elif [[ -n $line && $line != \#* ]]; then
			(($#)) && [[ $wanted != *" $topic "* ]] || echo "$patches/$tree/${line%% *}"
		fi
	done <"$patches/$tree/series"
}

# series_hash TREE [TOPIC]: hash of the content of TREE's patches, or of those of a topic,
# "none" if there are none.
series_hash() {
	local -a files
	mapfile -t files < <(series_files "$@")
	if ((${#files[@]} == 0)); then
		echo none
	else
		cat -- "${files[@]}" | hash_of
	fi
}

# series_code TREE: hash of what TREE's patches change in what is built, "none" if there are
# none.  Changelogs, tests and documents are not part of it.
series_code() {
	local f used=()
	while read -r f; do
		! grep -vE '^\+\+\+ (/dev/null|b/(tools/testing|Documentation)/)' "$f" |
			grep '^+++ ' >/dev/null || used+=("$f")
	done < <(series_files "$1")
	if ((${#used[@]} == 0)); then
		echo none
	else
		sed -s -n '/^\(diff --git\|---\) /,$p' -- "${used[@]}" | hash_of
	fi
}

compiler_id() {
	gcc --version | sed -n 1p
}

# cache_path KIND KEY: where the entry is, or would be.
cache_path() {
	echo "$cache/$1/$2"
}

# cache_hit KIND KEY: is there an entry?  Marks it as used.
cache_hit() {
	[[ -d $cache/$1/$2 ]] && touch "$cache/$1/$2"
}

# cache_new KIND: a temporary directory to fill, beside the entries.
cache_new() {
	mkdir -p "$cache/$1" || die "cannot write to $cache"
	mktemp -d "$cache/$1/.new.XXXXXXXX" || die "cannot write to $cache"
}

# cache_commit KIND KEY DIR [KEEP]: DIR becomes the entry, in one rename; only
# the KEEP (default 12) entries used last stay.
cache_commit() {
	local old
	chmod 755 "$3"
	rm -rf "${cache:?}/$1/$2"
	mv -T "$3" "$cache/$1/$2"
	find "$cache/$1" -mindepth 1 -maxdepth 1 -name '[!.]*' -printf '%T@ %p\n' |
		sort -rn | tail -n +"$((${4:-12} + 1))" | cut -d' ' -f2- |
		while read -r old; do rm -rf "$old"; done
}

# take_lock: one run or check at a time for a cache and a checkout; scripts
# started from one that holds the lock go on.
take_lock() {
	[[ -z ${AVIC_LOCKED:-} ]] || return 0
	mkdir -p "$cache" "$build" || die "cannot write to $cache or $build"
	exec 8>"$cache/lock" 9>"$build/lock"
	local fd
	for fd in 8 9; do
		flock -n $fd && continue
		note "another run holds the lock, waiting for it"
		flock $fd
	done
	export AVIC_LOCKED=1
	# Left behind by an interrupted run; nobody else can be using them.
	find "$cache" "$build" -maxdepth 2 -name '.new.*' -exec rm -rf {} + 2>/dev/null || :
}

# sync_tree SRC DST: make DST's sources equal SRC's, leaving SRC alone.  Goes
# by content and gives what changes a fresh time, so that make rebuilds what
# differs and only that; what a build left in SRC stays behind, and so do the
# sources of drivers and architectures that the test kernel has no use for.
sync_tree() {
	mkdir -p "$2"
	rsync -rlpc --delete --no-times \
		--include='Kconfig*' --include='Makefile*' --include='Kbuild*' \
		--exclude='/arch/[a-tv-wyz]*/**.[chS]' --exclude='*.dts' --exclude='*.dtsi' \
		--exclude='/Documentation/**' \
		--exclude='/drivers/gpu/**.[chS]' --exclude='/drivers/media/**.[chS]' \
		--exclude='/drivers/net/**.[chS]' --exclude='/drivers/scsi/**.[chS]' \
		--exclude='/drivers/staging/**.[chS]' --exclude='/sound/**.[chS]' \
		--exclude='/tools/testing/**' \
		--exclude='/.git' --exclude='/.pc' --exclude='/patches' \
		--exclude='/.config*' --exclude='/include/config' \
		--exclude='/include/generated' --exclude='/arch/*/include/generated' \
		--exclude='/usr/include/[a-z]*/' --exclude='/vmlinux*' --exclude='/Module.symvers' \
		--exclude='*.o' --exclude='*.ko' --exclude='*.mod' --exclude='*.mod.c' \
		--exclude='*.a' --exclude='.*.cmd' --exclude='.*.d' --exclude='*.order' \
		--exclude='/scripts/basic/fixdep' --exclude='/scripts/kconfig/conf' \
		--exclude='/arch/x86/boot/bzImage' --exclude='/tools/objtool/objtool' \
		--exclude='.tmp_*' --exclude='/System.map' --exclude='/source' \
		"$1/" "$2/"
}

# sync_files SRC DST LIST: the same for the files that LIST names, and no others.
sync_files() {
	local f
	while read -r f; do
		if [[ ! -e $1/$f ]]; then
			rm -f "$2/$f" || return 1
		elif ! cmp -s "$1/$f" "$2/$f"; then
			(cd "$1" && cp --parents "$f" "$2/") || return 1
		fi
	done <"$3"
}

# is_outside_series FILE [PHASE]: is it one of ours that the series doesn't carry, and, if
# there's a phase, that is for that phase alone?
is_outside_series() {
	awk -v name="${1##*/}" -v phase="${2:-}" '
		$1 == name && (phase == "" || $2 == phase) { found = 1 }
		END { exit !found }' "$top/selftests/not-in-series"
}

# plan_in PHASE: of lines "test phase seconds arguments", as in upstream-tests, the plan.
plan_in() {
	awk -v phase="$1" '
		function runs() {
			if ($2 == "only-after")
				return phase == "after" || phase == "all"
			return phase == "all" || phase == "named" || $2 == "both" || $2 == phase
		}
		NF && runs() { $2 = ""; print }'
}

# plan_ours PHASE: the plan of our own tests.
plan_ours() {
	local t when
	for t in "$top"/selftests/x86/*_test.c; do
		when=both
		! is_outside_series "$t" only-after || when=only-after
		echo "$(basename "$t" .c) $when 300"
	done | plan_in "$1"
}

# plan_of PHASE: the plan of the tests, ours and upstream's, as boot takes it; PHASE is
# before, after, or all, or named: those that run in both phases if they are named.
plan_of() {
	plan_ours "$1"
	sed 's/#.*//' "$top/selftests/upstream-tests" | plan_in "$1"
}

# plan_case TEST CASE: the plan of one case of one of our tests.
plan_case() {
	# The table leaves out the fixture of cases that have none.
	case $2 in
	*.*) echo "$1 300 -r $2" ;;
	*) echo "$1 300 -r global.$2" ;;
	esac
}

# test_cases TEST: the cases of one of our tests that plan_case can name, one a line.
test_cases() {
	[[ ! -f $top/selftests/x86/$1.c ]] || awk -F '[(,) ]+' '
		$1 == "FIXTURE_VARIANT_ADD" { variants[$2] = variants[$2] " " $3 }
		$1 == "TEST" { test[++n] = $2 }
		$1 ~ /^TEST_F(_TIMEOUT)?$/ { fixture[++n] = $2; test[n] = $3 }
		END {
			for (i = 1; i <= n; i++) {
				name = fixture[i] == "" ? "" : fixture[i] "."
				if (!(fixture[i] in variants)) {
					print name test[i]
					continue
				}
				count = split(variants[fixture[i]], variant, " ")
				for (v = 1; v <= count; v++)
					print name variant[v] "." test[i]
			}
		}' "$top/selftests/x86/$1.c"
}
