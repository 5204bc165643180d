# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Series as git commits; to be sourced, instead of lib.bash, by the scripts that
# edit, carry over, check, send and bisect a series, or build commits.

# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.bash"

# gitp ARGS...: git as it is after installation, whatever its user configured.
# What it commits is thrown away or written by git format-patch, i.e. the
# committer does not matter.
gitp() {
	GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null GIT_EDITOR=: \
		git -c user.name=avic-kvm -c user.email=avic-kvm@localhost \
		-c init.defaultBranch=series -c advice.detachedHead=false -c gc.auto=0 "$@"
}

# need_tree TREE: is this one of the series?
need_tree() {
	case $1 in
	linux-6.12.y | linux-6.1.y | linux-mainline | qemu-10.0.y) ;;
	*) die "unknown BASE '$1': linux-6.12.y, linux-6.1.y, linux-mainline or qemu-10.0.y" ;;
	esac
	[[ -n $(series_files "$1") ]] || die "patches/$1 has no series"
	local bad
	bad=$(bad_topics "$patches/$1/series")
	[[ -z $bad ]] || die "patches/$1/series: $bad"
}

# bad_topics FILE: what is wrong with the topics of this series (see lib.bash), if
# something is.
bad_topics() {
	awk '
		function bad(what) {
			if (!wrong)
				print what
			wrong = 1
		}
		function end_topic() {
			if (topic != "" && !count)
				bad("the topic " topic " has no patches")
			count = 0
		}
		tolower($0) ~ /^#[ \t]*topic/ {
			if ($0 !~ /^# topic: +[A-Za-z0-9][A-Za-z0-9._-]*( +(rfc|on-request))*( +needs( +[^ ]+)+)?$/)
				bad("not \047# topic: NAME [rfc] [on-request] [needs NAME...]\047: \047" $0 "\047")
			if (lost)
				bad(lost " comes before the first topic")
			end_topic()
			topic = $3
			if (topic in seen)
				bad("two topics are called " topic)
			for (i = 4; i <= NF && $i != "needs"; i++)
				;
			while (++i <= NF)
				if (!($i in seen))
					bad("the topic " topic " needs " $i ", which is no topic before it")
			seen[topic]
			next
		}
		NF && !/^[ \t]*#/ {
			count++
			if (topic == "" && !lost)
				lost = $1
		}
		END { end_topic() }' "$1"
}

# need_topic TREE TOPIC: is this one of the series' topics?
need_topic() {
	local all
	need_tree "$1"
	all=$(series_topics "$1" | xargs)
	[[ -n $all ]] || die "TOPIC=$2: patches/$1 has no topics"
	[[ " $all " == *" $2 "* && $2 != *" "* ]] || die "unknown TOPIC '$2': ${all// /, }"
}

# sent_topics TREE TOPIC: TOPIC, if it's not empty, or those that are sent by default, one
# a line; an empty line if TREE has none.
sent_topics() {
	local all topic sent=
	all=$(series_topics "$1")
	if [[ -n $2 || -z $all ]]; then
		echo "$2"
		return
	fi
	for topic in $all; do
		topic_has "$1" "$topic" on-request || sent+=$topic$'\n'
	done
	[[ -n $sent ]] || die "all topics of patches/$1 are on request, TOPIC= names one: $(xargs <<<"$all")"
	printf %s "$sent"
}

# cover_letter TREE TOPIC: the file that has it.
cover_letter() {
	echo "$patches/$1/cover-letter${2:+.$2}"
}

# made_from TREE TOPIC: what mails are made from, as a hash.
made_from() {
	local -a needed
	mapfile -t needed < <(topic_needs "$1" "$2")
	{
		series_hash "$1" "$2" "${needed[@]}"
		topic_line "$1" "$2"
		cat -- "$(cover_letter "$1" "$2")" 2>/dev/null || :
	} | hash_of
}

# need_kernel_tree TREE: is this one of the kernel's series?
need_kernel_tree() {
	need_tree "$1"
	[[ $1 == linux-* ]] || die "BASE=$1: ${0##*/} is for the kernel's series"
}

# user_tree TREE: the tree that the user gave for TREE, by KDIR= or QEMU_SRC=;
# nothing if none.
user_tree() {
	local given=${KDIR:-} name=KDIR probe=Kbuild
	if [[ $1 == qemu-* ]]; then
		given=${QEMU_SRC:-} name=QEMU_SRC probe=configure
	fi
	[[ -n $given ]] || return 0
	[[ -f $given/$probe && -f $given/MAINTAINERS ]] ||
		die "$name=$given is not a source tree for $1"
	[[ ! -e $given/.git ]] || is_git "$given" || die "$name=$given: git cannot read it: $(git -C "$given" rev-parse 2>&1 | sed -n 1p)"
	realpath "$given"
}

# source_tree TREE: the tree that the user gave for TREE, otherwise Debian's.
source_tree() {
	local given
	given=$(user_tree "$1") || return
	if [[ -n $given ]]; then
		echo "$given"
	else
		"$top/scripts/get-source" "$1"
	fi
}

# is_git DIR: is DIR the top of a git work tree?
is_git() {
	[[ $(git -C "$1" rev-parse --show-toplevel 2>/dev/null || :) == "$(realpath "$1")" ]]
}

# tree_name TREE SRC: SRC in words, for people who want to know the base.
tree_name() {
	local version
	version=$("$top/scripts/get-source" --version "$1" 2>/dev/null || :)
	if is_git "$2"; then
		git -C "$2" log -1 --format='%h ("%s")'
	elif [[ ${2##*/} == "$version" ]]; then
		echo "Debian's ${version%%_*} ${version#*_}"
	else
		echo "${2##*/}"
	fi
}

# series_touched FILES...: the files that these patches touch, sorted.
series_touched() {
	cat -- "$@" | sed -n 's,^\(---\|+++\) [ab]/\([^\t]*\).*,\2,p' | sort -u
}

# commit_all DIR FILES NAME: commit all that is below FILES to the repository DIR, each
# time with the same date, i.e. as the same commit.
commit_all() {
	# One pack instead of a file for each blob.
	gitp -C "$1" --work-tree="$2" -c core.bigFileThreshold=1 -c core.compression=1 add -Af . || return 1
	GIT_AUTHOR_DATE='@0 +0000' GIT_COMMITTER_DATE='@0 +0000' \
		gitp -C "$1" commit -q --allow-empty -m "$3"
}

# make_repo DIR SRC [LIST]: DIR becomes a git repository whose branch "base" is
# SRC (of a git tree: its HEAD) and whose branch "series", equal to it so far,
# is checked out.  LIST is a file with the names of the files that matter;
# without it all are there.  SRC is only read.
make_repo() {
	local dir=$1 src=$2 list=${3:-} f git_dir
	mkdir -p "$dir"
	gitp init -q "$dir" || return 1
	if is_git "$src"; then
		git_dir=$(git -C "$src" rev-parse --path-format=absolute --git-common-dir)
		echo "$git_dir/objects" >"$dir/.git/objects/info/alternates"
		[[ ! -e $git_dir/shallow ]] || cp "$git_dir/shallow" "$dir/.git/"
		gitp -C "$dir" update-ref refs/heads/base "$(git -C "$src" rev-parse HEAD)" || return 1
		[[ -z $list ]] ||
			sed 's,^,/,' "$list" | gitp -C "$dir" sparse-checkout set --no-cone --stdin || return 1
		gitp -C "$dir" checkout -q -B series base
		return
	fi
	if [[ -n $list ]]; then
		# Attributes choose how git names the function of a hunk.
		{ echo .gitattributes && cat "$list"; } | while read -r f; do
			[[ ! -e $src/$f ]] || (cd "$src" && cp -a --parents "$f" "$dir/") || return 1
		done || return 1
	else
		cp -a --reflink=auto "$src/." "$dir/" || return 1
		# Debian's kernel ignores everything, for the sake of its packaging.
		[[ ! -e $dir/.gitignore ]] || sed -i '/^\/\*$/d' "$dir/.gitignore"
	fi
	commit_all "$dir" "$dir" "${src##*/}" || return 1
	gitp -C "$dir" branch -f base
}

# base_repo SRC: print a git repository whose HEAD is SRC, which is only read: SRC
# itself if it is one, otherwise one without a work tree, made once.
base_repo() {
	local dir=$build/base/${1##*/} tmp
	if is_git "$1"; then
		echo "$1"
		return
	fi
	if [[ ! -d $dir ]]; then
		mkdir -p "$build/base"
		tmp=$(mktemp -d "$build/base/.new.XXXXXXXX")
		cleanup_add "$tmp"
		gitp init -q "$tmp"
		step "committing ${1##*/}" "$build/logs/base.log" commit_all "$tmp" "$1" "${1##*/}" ||
			die "$1 cannot be committed (disk full?), see $build/logs/base.log"
		mv -T "$tmp" "$dir"
	fi
	echo "$dir"
}

# sync_git REPO ID DST: make DST's files equal those of the commit or tree ID of
# the git directory REPO, whichever of them REPO has checked out.  Like sync_tree,
# it changes only what differs; which files DST holds is in DST.index.
sync_git() {
	mkdir -p "$3"
	# Left behind by an interrupted run.
	rm -f "$3.index.lock"
	GIT_INDEX_FILE=$3.index gitp -c core.sparseCheckout=false --git-dir="$1" --work-tree="$3" read-tree --reset -u "$2" &&
		GIT_INDEX_FILE=$3.index gitp --git-dir="$1" --work-tree="$3" clean -qfdx
}

# am_series DIR FILES...: apply the patches, one commit each, without fuzz.
# Prints the name of the one that does not apply, and returns 1.
am_series() {
	local dir=$1 f
	shift
	for f in "$@"; do
		gitp -C "$dir" am -q --keep-non-patch "$f" && continue
		gitp -C "$dir" am --abort || :
		echo "$f"
		return 1
	done
}

# took_effect CONFIG SYMBOL=VALUE...: whether a kernel's configuration has them, with the
# value n if it doesn't name the symbol.  Prints the first that it doesn't have.
took_effect() {
	local config=$1 is want
	shift
	for want in "$@"; do
		is=$(sed -n "s/^CONFIG_${want%%=*}=//p" "$config") || return 1
		[[ ${is:-n} == "${want#*=}" ]] || {
			echo "error: $want has no effect"
			return 1
		}
	done
}

# series_commits DIR: the commits of make_repo's DIR without patches, with one, two and
# so on.
series_commits() {
	echo base
	gitp -C "$1" rev-list --reverse base..series
}

# series_repo TREE SRC: commit the series of TREE on top of SRC, in a repository
# that has the files it touches checked out and is removed at the end.  Sets work
# to a directory of the script's own, repo to the repository, with branches as of
# make_repo, commits to what is without patches, with one, two and so on, and
# patch_names to what the patches are called, in order.
series_repo() {
	local bad base
	local -a files
	mapfile -t files < <(series_files "$1")
	work=$(mktemp -d "$build/.new.XXXXXXXX")
	cleanup_add "$work"
	series_touched "${files[@]}" >"$work/touched"
	base=$(base_repo "$2")
	repo=$work/$1
	mkdir -p "$build/logs"
	make_repo "$repo" "$base" "$work/touched" >"$build/logs/repo.log" 2>&1 ||
		die "$base cannot be copied, see $build/logs/repo.log"
	bad=$(am_series "$repo" "${files[@]}" 2>"$build/logs/am.log") ||
		die "${bad##*/} does not apply to ${2##*/}, see $build/logs/am.log"
	# shellcheck disable=SC2034
	mapfile -t commits < <(series_commits "$repo")
	patch_names=("${files[@]##*/}")
	patch_names=("${patch_names[@]%.patch}")
}

# Paths that no build of ours looks at, for git's commands.
not_built=(':!tools/testing' ':!Documentation' ':!MAINTAINERS')

# same_kernel A B: do two commits of series_repo differ in tests and documents only?
same_kernel() {
	gitp -C "$repo" diff --quiet "$1" "$2" -- . "${not_built[@]}"
}

# patch_content FILE: hash of a patch, without what depends on git's version and
# on the repository: how blobs are abbreviated, which function a hunk is in.
patch_content() {
	sed -E 's/^(index )[0-9a-f]+\.\.[0-9a-f]+/\1/; s/^(@@ -[0-9,]+ \+[0-9,]+ @@).*/\1/' "$1" | hash_of
}

# format_series DIR OUT TREE: the commits from base to series as the project
# stores them: names without numbers, and nothing that depends on where they are
# made.  What patches/TREE has already stays as it is, byte by byte.  Prints the
# names, in order.
format_series() {
	local f name
	local -A stored=()
	while read -r f; do
		stored[$(patch_content "$f")]=$f
	done < <(series_files "$3")
	mkdir -p "$2"
	gitp -C "$1" format-patch --zero-commit --no-signature --no-numbered --full-index \
		--diff-algorithm=histogram -o "$2" base..series | while read -r f; do
		name=${stored[$(patch_content "$f")]:-}
		if [[ -n $name ]]; then
			cp "$name" "$f"
			name=${name##*/}
		else
			name=${f##*/}
			name=${name#[0-9][0-9][0-9][0-9]-}
		fi
		[[ ! -e $2/$name ]] || die "two patches would be called $name, give one another subject"
		mv "$f" "$2/$name"
		echo "$name"
	done
}

# edit_begin TREE: make way for a new build/edit/TREE, the work tree of edit and
# rebase; refuses to throw work away.
edit_begin() {
	local dir=$build/edit/$1
	mkdir -p "$build/edit" "$build/logs"
	[[ -d $dir ]] || return 0
	[[ -z $(gitp -C "$dir" status --porcelain 2>&1) &&
		$(gitp -C "$dir" rev-parse HEAD) == "$(gitp -C "$dir" rev-parse stored)" ]] ||
		die "$dir has changes that are not in patches/$1: make refresh BASE=$1, or remove it"
	rm -rf "$dir"
}

# edit_stored TREE: note that build/edit/TREE and patches/TREE agree, and which patch
# each commit is: git carries notes over when it rewrites commits.
edit_stored() {
	local dir=$build/edit/$1 commit name
	gitp -C "$dir" branch -q -f stored series
	gitp -C "$dir" config notes.rewriteRef refs/notes/patches
	paste -d ' ' <(gitp -C "$dir" rev-list --reverse base..series) <(series_files "$1" | sed 's,.*/,,') |
		while read -r commit name; do
			# Rebase begins without commits.
			[[ -z $name ]] || gitp -C "$dir" notes --ref=patches add -f -m "$name" "$commit" 2>/dev/null
		done
	series_hash "$1" >"$dir/.git/stored-series"
}
