#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# The way of a series to a mailbox and back, on a small tree: edit, refresh,
# rebase, mbox, send.

bats_require_minimum_version 1.5.0
load common

file=arch/x86/kvm/numbers.c
signed='Signed-off-by: Jane Doe <jane@example.org>'

# commit DIR LINE WORD: a commit that changes a line of the file
commit() {
	sed -i "$2s/.*/$3/" "$1/$file"
	git -C "$1" commit -qam "Say $3"$'\n\n'"Words are better than $2."
}

# A tree of 60 lines in build/src, as if it came from the archive, and a series
# of two patches for it.
setup_series() {
	export AVIC_PATCHES=$PWD/patches GIT_CONFIG_SYSTEM=/dev/null GIT_CONFIG_GLOBAL=$PWD/gitconfig
	unset V TOPIC TRAILER AUTHOR TO CC SEND
	git config --global user.name 'Jane Doe'
	git config --global user.email jane@example.org
	mkdir -p "$AVIC_BUILD/versions" patches/linux-6.12.y
	src=$AVIC_BUILD/src/linux-source-6.12_1
	fake_tree "$src"
	mkdir "$src/scripts"
	seq 1 60 >"$src/$file"
	echo "linux-source-6.12 1" >"$AVIC_BUILD/versions/linux-6.12.y"
	touch "$src/MAINTAINERS"
	cat >"$src/scripts/get_maintainer.pl" <<-'END'
		print "Maintainer <maintainer\@example.org>\n" if !grep { $_ eq "--nom" } @ARGV;
		print "list\@example.org\n" if !grep { $_ eq "--nol" } @ARGV;
	END
	bash -euc '. "$0/git.bash"; make_repo "$1" "$2"' "$scripts" "$PWD/repo" "$src"
	commit repo 20 twenty
	commit repo 40 forty
	bash -euc '. "$0/git.bash"; format_series "$1" "$2" linux-6.12.y' "$scripts" "$PWD/repo" \
		"$PWD/new" >series
	mv new/* series patches/linux-6.12.y/
	printf 'Say it in words\n\nNumbers are hard to read.\n' >patches/linux-6.12.y/cover-letter
	cp -r patches stored
	edit=$AVIC_BUILD/edit/linux-6.12.y
	mails=$AVIC_BUILD/mbox/linux-6.12.y-v1
}

# setup_topics: the topics one, two, which needs one, and three, which is on request, of a
# patch each
setup_topics() {
	setup_series
	commit repo 50 fifty
	bash -euc '. "$0/git.bash"; format_series "$1" "$2" linux-6.12.y' "$scripts" "$PWD/repo" \
		"$PWD/new" >/dev/null
	mv new/Say-fifty.patch patches/linux-6.12.y/
	cat >patches/linux-6.12.y/series <<-'END'
		# topic: one
		Say-twenty.patch
		# topic: two rfc needs one
		Say-forty.patch
		# topic: three on-request
		Say-fifty.patch
	END
	rm patches/linux-6.12.y/cover-letter
	for t in one two three; do
		printf 'Say topic %s\n\nNumbers are hard to read.\n' $t >patches/linux-6.12.y/cover-letter.$t
	done
	rm -r stored
	cp -r patches stored
	mbox=$AVIC_BUILD/mbox
}

# series: its lines, in one
series() {
	paste -s -d ';' patches/linux-6.12.y/series
}

# unchanged: patches are byte by byte as they were
unchanged() {
	diff -r stored patches
}

# tree TREE [LINE WORD]...: another source tree, with lines changed
tree() {
	local new=$1
	cp -r "$src" "$new"
	shift
	while (($#)); do
		sed -i "$1s/.*/$2/" "$new/$file"
		shift 2
	done
}

@test "edit, refresh, rebase, mbox, send: bad arguments" {
	for s in edit refresh rebase mbox send; do
		run "$scripts/$s" BASE=linux-5.4.y
		one_error
		[[ $output == *"unknown BASE 'linux-5.4.y'"* ]]
		run "$scripts/$s" FOO=bar
		one_error
	done
}

@test "edit, rebase, mbox: KDIR that is no Linux tree" {
	setup_series
	for s in edit rebase mbox; do
		run "$scripts/$s" KDIR="$PWD"
		one_error
		[[ $output == *"is not a source tree"* ]]
	done
	[ ! -e "$edit" ]
}

@test "edit makes one commit a patch, refresh changes nothing" {
	setup_series
	run "$scripts/edit"
	[ "$status" -eq 0 ]
	[ "$(git -C "$edit" log --format=%s base..series)" = "Say forty"$'\n'"Say twenty" ]
	run "$scripts/refresh"
	[ "$status" -eq 0 ]
	[[ $output == *"nothing changed"* ]]
	unchanged
	"$scripts/edit" KDIR="$src"
}

@test "refresh keeps names and bytes of patches that did not change" {
	setup_series
	cd patches/linux-6.12.y
	mv Say-twenty.patch twenty.patch
	sed -i 's/^Say-twenty/twenty/' series
	sed -i -E 's/^index (.{9}).*\.\.(.{9}).*/index \1..\2 100644/' twenty.patch
	cp twenty.patch "$BATS_TEST_TMPDIR"
	cd -
	"$scripts/edit"
	commit "$edit" 60 sixty
	run "$scripts/refresh"
	[ "$status" -eq 0 ]
	[[ $output == *"new: Say-sixty.patch"* && $output != *changed:* && $output != *gone:* ]]
	[ "$(xargs <patches/linux-6.12.y/series)" = "twenty.patch Say-forty.patch Say-sixty.patch" ]
	cmp twenty.patch patches/linux-6.12.y/twenty.patch
	cmp stored/linux-6.12.y/cover-letter patches/linux-6.12.y/cover-letter
}

@test "refresh writes new, changed and dropped commits" {
	setup_series
	"$scripts/edit"
	git -C "$edit" reset -q --hard HEAD^
	sed -i 's/^21$/one and twenty/' "$edit/$file"
	git -C "$edit" commit -qa --amend --no-edit
	commit "$edit" 50 fifty
	run "$scripts/refresh"
	[ "$status" -eq 0 ]
	[[ $output == *"gone: Say-forty.patch"* ]]
	[[ $output == *"changed: Say-twenty.patch"* ]]
	[[ $output == *"new: Say-fifty.patch"* ]]
	[ "$(ls patches/linux-6.12.y | xargs)" = "Say-fifty.patch Say-twenty.patch cover-letter series" ]
	run "$scripts/refresh"
	[[ $output == *"nothing changed"* ]]
}

@test "refresh refuses what it cannot or should not write" {
	setup_series
	run "$scripts/refresh"
	one_error
	[[ $output == *"make edit BASE=linux-6.12.y"* ]]
	"$scripts/edit"
	echo 61 >>"$edit/$file"
	run "$scripts/refresh"
	one_error
	[[ $output == *"uncommitted changes"* ]]
	git -C "$edit" commit -qam 'Count on' -m "$signed"
	run "$scripts/refresh"
	one_error
	[[ $output == *"'Count on' has a Signed-off-by"* ]]
	git -C "$edit" reset -q --hard base
	run "$scripts/refresh"
	one_error
	[[ $output == *"no commit"* ]]
	unchanged
}

@test "work in the tree of edit is not thrown away" {
	setup_series
	"$scripts/edit"
	commit "$edit" 50 fifty
	for s in edit rebase; do
		run "$scripts/$s" KDIR="$src"
		one_error
		[[ $output == *"has changes that are not in patches/linux-6.12.y"* ]]
	done
	[ "$(git -C "$edit" log -1 --format=%s)" = "Say fifty" ]
}

@test "refresh does not overwrite patches that changed meanwhile" {
	setup_series
	"$scripts/edit"
	commit "$edit" 50 fifty
	sed -i '$d' patches/linux-6.12.y/series
	run "$scripts/refresh"
	one_error
	[[ $output == *"no longer what"* ]]
}

@test "edit names a patch that does not apply, and leaves nothing" {
	setup_series
	tree other 40 quarante
	run "$scripts/edit" KDIR="$PWD/other"
	[ "$status" -ne 0 ]
	[[ $output == *"Say-forty.patch does not apply to other"* ]]
	[ -z "$(ls -A "$AVIC_BUILD/edit")" ]
}

@test "rebase: the same tree changes nothing" {
	setup_series
	run "$scripts/rebase" KDIR="$src"
	[ "$status" -eq 0 ]
	[[ $output == *"applies: Say-twenty.patch"*"applies: Say-forty.patch"*"nothing changed"* ]]
	unchanged
}

@test "rebase merges, and says so" {
	setup_series
	tree other 22 twenty-two
	before=$(sha256sum other/$file)
	run "$scripts/rebase" KDIR="$PWD/other"
	[ "$status" -eq 0 ]
	[[ $output == *"merged: Say-twenty.patch"*"applies: Say-forty.patch"*"changed: Say-twenty.patch"* ]]
	grep -qx ' twenty-two' patches/linux-6.12.y/Say-twenty.patch
	[ "$before" = "$(sha256sum other/$file)" ]
	run "$scripts/edit" KDIR="$PWD/other"
	[ "$status" -eq 0 ]
}

@test "rebase drops a patch that has become empty, and says so" {
	setup_series
	tree other 20 twenty
	run "$scripts/rebase" KDIR="$PWD/other"
	[ "$status" -eq 0 ]
	[[ $output == *"empty: Say-twenty.patch"*"gone: Say-twenty.patch"* ]]
	[ "$(cat patches/linux-6.12.y/series)" = Say-forty.patch ]
}

@test "rebase names what conflicts and waits there; refresh takes the resolution" {
	setup_series
	tree other 20 vingt
	run "$scripts/rebase" KDIR="$PWD/other"
	[ "$status" -eq 1 ]
	[[ $output == *"conflict: Say-twenty.patch: $file"* ]]
	[[ $output == *"error: 1 of 2 patches conflict, the first is Say-twenty.patch"* ]]
	unchanged
	run "$scripts/refresh"
	one_error
	[[ $output == *"an am or rebase is unfinished"* ]]
	sed -i '/^<<<<<<</,/^=======/ d; /^>>>>>>>/ d' "$edit/$file"
	git -C "$edit" add -u
	git -C "$edit" am --continue
	run "$scripts/refresh"
	[ "$status" -eq 0 ]
	grep -qx -- -vingt patches/linux-6.12.y/Say-twenty.patch
	[ "$(wc -l <patches/linux-6.12.y/series)" -eq 2 ]
}

@test "mbox refuses a series without a Signed-off-by" {
	setup_series
	run "$scripts/mbox"
	one_error
	[[ $output == *"Say-twenty.patch has no Signed-off-by, which only a person can give"* ]]
	run "$scripts/mbox" TRAILER='Reviewed-by: Jane Doe <jane@example.org>'
	one_error
	[ -z "$(ls -A "$AVIC_BUILD/mbox")" ]
}

@test "mbox refuses bad trailers, versions and authors" {
	setup_series
	for t in nonsense 'Signed-off-by:' 'Signed-off-by: Jane Doe' 'Signed-off-by: <jane@example.org>' \
		"$signed;Signed-off-by: me"; do
		run "$scripts/mbox" TRAILER="$t"
		one_error
		[[ $output == *TRAILER=* ]]
	done
	run "$scripts/mbox" VERSION=1.5 TRAILER="$signed"
	one_error
	run "$scripts/mbox" AUTHOR=me TRAILER="$signed"
	one_error
}

@test "mbox: a cover letter and patches, signed off, with recipients, in a thread" {
	setup_series
	TRAILER="$signed; Tested-by: John Doe <john@example.org>" run "$scripts/mbox"
	[ "$status" -eq 0 ]
	cd "$mails"
	[ "$(ls | xargs)" = "0000-cover-letter.patch 0001-Say-twenty.patch 0002-Say-forty.patch made-from" ]
	grep -qx 'Subject: \[PATCH 6.12.y 0/2\] Say it in words' 0000*
	grep -qx 'Numbers are hard to read.' 0000*
	grep -qx "Base: Debian's linux-source-6.12 1" 0000*
	grep -q '^ arch/x86/kvm/numbers.c | 4 ++--' 0000*
	run ! grep -q '\*\*\*' 0000*
	id=$(sed -n 's/^Message-I[dD]: //p' 0000*)
	for m in 0001* 0002*; do
		grep -qxF "In-Reply-To: $id" "$m"
		grep -qxF "$signed" "$m"
		grep -qx 'Tested-by: John Doe <john@example.org>' "$m"
		grep -q 'stable@vger.kernel.org' "$m"
		grep -qx 'Cc: list@example.org' "$m"
	done
	git -C "$BATS_TEST_TMPDIR/repo" checkout -q base
	git -C "$BATS_TEST_TMPDIR/repo" am -q "$PWD"/000[12]*
	git -C "$BATS_TEST_TMPDIR/repo" diff --exit-code series
}

@test "mbox: AUTHOR, TO and CC instead of the tree's" {
	setup_series
	run "$scripts/mbox" TRAILER="$signed" TRAILER='Acked-by: A <a@example.org>' \
		AUTHOR='John Doe <john@example.org>' TO='a@example.org, b@example.org' CC=c@example.org
	[ "$status" -eq 0 ]
	[[ $output == *"the author John Doe <john@example.org> has not signed off"* ]]
	grep -qx 'From: John Doe <john@example.org>' "$mails/0001"*
	grep -qxF "$signed" "$mails/0001"*
	grep -qx 'Acked-by: A <a@example.org>' "$mails/0001"*
	[[ $(sed -n '/^To:/,/^$/p' "$mails/0000"* | xargs) == "To: a@example.org, b@example.org Cc: c@example.org" ]]
}

@test "mbox: VERSION=2 wants its changes in the cover letter" {
	setup_series
	run "$scripts/mbox" VERSION=2 TRAILER="$signed"
	one_error
	[[ $output == *"no 'Changes in v2:'"* ]]
	printf '\nChanges in v2:\n - Typos\n' >>patches/linux-6.12.y/cover-letter
	run "$scripts/mbox" TRAILER="$signed"
	one_error
	[[ $output == *"tells of v2, but VERSION=1"* ]]
	run "$scripts/mbox" VERSION=2 TRAILER="$signed"
	[ "$status" -eq 0 ]
	grep -qx 'Subject: \[PATCH 6.12.y v2 2/2\] Say forty' "${mails%1}2/v2-0002"*
}

@test "mbox: a cover letter that is missing or has no text" {
	setup_series
	echo 'Say it in words' >patches/linux-6.12.y/cover-letter
	run "$scripts/mbox" TRAILER="$signed"
	one_error
	[[ $output == *"wants a subject, an empty line and a text"* ]]
	rm patches/linux-6.12.y/cover-letter
	run "$scripts/mbox" TRAILER="$signed"
	one_error
}

@test "mbox: a git clone gives a base-commit; the clone stays as it is" {
	setup_series
	git clone -q -b base repo clone
	run "$scripts/mbox" KDIR="$PWD/clone" TRAILER="$signed"
	[ "$status" -eq 0 ]
	grep -qx "base-commit: $(git -C clone rev-parse HEAD)" "$mails/0000"*
	run ! grep -q ^Base: "$mails/0000"*
	[ -z "$(git -C clone status --porcelain)" ]
	[ "$(git -C clone branch | xargs)" = "* base" ]
}

@test "mbox names a patch that does not apply; the last mails stay" {
	setup_series
	"$scripts/mbox" TRAILER="$signed"
	tree other 40 quarante
	run "$scripts/mbox" KDIR="$PWD/other" TRAILER="$signed"
	[ "$status" -ne 0 ]
	[[ $output == *"Say-forty.patch does not apply to other; make rebase"* ]]
	[ "$(ls -A "$AVIC_BUILD/mbox")" = linux-6.12.y-v1 ]
}

@test "send wants mails, of this series" {
	setup_series
	run "$scripts/send"
	one_error
	[[ $output == *"make mbox BASE=linux-6.12.y first"* ]]
	"$scripts/mbox" TRAILER="$signed"
	run "$scripts/send"
	[ "$status" -eq 0 ]
	[[ $output == *"a dry run, nothing was sent"* ]]
	echo 'Read more.' >>patches/linux-6.12.y/cover-letter
	run "$scripts/send" SEND=1
	one_error
	[[ $output == *"is older than"* ]]
}

@test "send: a server that is not there is an error" {
	setup_series
	"$scripts/mbox" TRAILER="$signed"
	git config --global sendemail.smtpServer 127.0.0.1
	git config --global sendemail.smtpServerPort 1
	git config --global sendemail.confirm never
	run "$scripts/send" SEND=1
	[ "$status" -ne 0 ]
	[[ $output == *"git send-email: not all of "*" was sent"* ]]
}

@test "topics: mbox makes a thread of each, but not of those on request" {
	setup_topics
	run "$scripts/mbox" TOPIC= TRAILER="$signed"
	[ "$status" -eq 0 ]
	[ "$(ls "$mbox" | xargs)" = "linux-6.12.y-one-v1 linux-6.12.y-two-v1" ]
	grep -qx 'Subject: \[PATCH 6.12.y 0/1\] Say topic one' "$mbox"/*-one-v1/0000*
	grep -qx 'Subject: \[PATCH 6.12.y 1/1\] Say twenty' "$mbox"/*-one-v1/0001*
	grep -qx 'Subject: \[RFC PATCH 6.12.y 0/1\] Say topic two' "$mbox"/*-two-v1/0000*
	grep -qx 'Subject: \[RFC PATCH 6.12.y 1/1\] Say forty' "$mbox"/*-two-v1/0001*
	run "$scripts/mbox" TOPIC=three TRAILER="$signed"
	[ "$status" -eq 0 ]
	[ "$output" != "${output%linux-6.12.y-three-v1}" ]
	grep -qx 'Subject: \[PATCH 6.12.y 1/1\] Say fifty' "$mbox"/*-three-v1/0001*
}

@test "topics: the cover letter names the patches it needs, with a clone or without" {
	setup_topics
	id=$(git patch-id --stable <patches/linux-6.12.y/Say-twenty.patch | cut -d ' ' -f 1)
	"$scripts/mbox" TRAILER="$signed"
	run ! grep -q ^prerequisite "$mbox"/*-one-v1/0000*
	[ "$(grep ^prerequisite "$mbox"/*-two-v1/0000*)" = "prerequisite-patch-id: $id" ]
	git clone -q -b base repo "a clone"
	"$scripts/mbox" TRAILER="$signed" KDIR="$PWD/a clone"
	[ "$(grep ^prerequisite "$mbox"/*-two-v1/0000*)" = "prerequisite-patch-id: $id" ]
	grep -qx "base-commit: $(git -C "a clone" rev-parse HEAD)" "$mbox"/*-two-v1/0000*
}

@test "topics: an unknown one is an error that names them" {
	setup_topics
	for s in mbox send steps; do
		for t in four 'one two' o; do
			run "$scripts/$s" TOPIC="$t"
			one_error
			[[ $output == *"unknown TOPIC '$t': one, two, three" ]]
		done
	done
	run make -s -C "$top" mbox BASE=linux-6.12.y TOPIC=four
	[[ $output == *"unknown TOPIC 'four': one, two, three"* ]]
	echo Say-twenty.patch >patches/linux-6.12.y/series
	run "$scripts/mbox" TOPIC=one
	one_error
	[[ $output == *"patches/linux-6.12.y has no topics" ]]
}

@test "topics: a faulty series is one error" {
	setup_topics
	faults=(
		's/ needs one/ needs three/' 'the topic two needs three, which is no topic before it'
		's/ needs one/ needs two/' 'the topic two needs two, which is no topic before it'
		's/ rfc/ rcf/' "not '# topic: NAME *': '# topic: two rcf needs one'"
		's/^# topic: one/#topic: one/' "not '# topic: NAME *': '#topic: one'"
		's/^# topic: three.*/# topic: one/' 'two topics are called one'
		'/fifty/d' 'the topic three has no patches'
		'/forty/d' 'the topic two has no patches'
		1d 'Say-twenty.patch comes before the first topic'
	)
	for ((i = 0; i < ${#faults[@]}; i += 2)); do
		sed "${faults[i]}" stored/linux-6.12.y/series >patches/linux-6.12.y/series
		run "$scripts/mbox" TRAILER="$signed"
		one_error
		[[ $output == *"patches/linux-6.12.y/series: "${faults[i + 1]} ]]
	done
	for s in mbox send; do
		sed 's/^\(# topic: [a-z]*\).*/\1 on-request/' stored/linux-6.12.y/series >patches/linux-6.12.y/series
		run "$scripts/$s"
		one_error
		[[ $output == *"are on request"*"one two three" ]]
	done
	[ ! -e "$mbox" ]
}

@test "topics: a version of one, and no mails if a cover letter is not ready" {
	setup_topics
	printf '\nChanges in v2:\n - Typos\n' >>patches/linux-6.12.y/cover-letter.two
	run "$scripts/mbox" TRAILER="$signed"
	one_error
	[[ $output == *"cover-letter.two tells of v2, but VERSION=1" ]]
	[ ! -e "$mbox" ]
	run "$scripts/mbox" TOPIC=two VERSION=2 TRAILER="$signed"
	[ "$status" -eq 0 ]
	[ "$(ls "$mbox")" = linux-6.12.y-two-v2 ]
	grep -qx 'Subject: \[RFC PATCH 6.12.y v2 1/1\] Say forty' "$mbox"/*-two-v2/v2-0001*
	"$scripts/send" TOPIC=two VERSION=2
}

@test "topics: send takes all or one, and none if one is missing or old" {
	setup_topics
	"$scripts/mbox" TOPIC=one TRAILER="$signed"
	run "$scripts/send"
	one_error
	[[ $output == *"make mbox BASE=linux-6.12.y TOPIC=two first" ]]
	[[ $output != *"Say twenty"* ]]
	"$scripts/mbox" TRAILER="$signed"
	run "$scripts/send"
	[ "$status" -eq 0 ]
	[[ $output == *"Say twenty"*"Say forty"* ]]
	[[ $output != *"Say fifty"* ]]
	run "$scripts/send" TOPIC=two
	[ "$status" -eq 0 ]
	[[ $output != *"Say twenty"* ]]
	for change in 's/ rfc//' 's/ needs one//'; do
		sed "$change" stored/linux-6.12.y/series >patches/linux-6.12.y/series
		run "$scripts/send" TOPIC=two SEND=1
		one_error
		[[ $output == *"-two-v1 is older than"* ]]
	done
	cp stored/linux-6.12.y/series patches/linux-6.12.y/
	sed -i 's/^Words are better/Words are much better/' patches/linux-6.12.y/Say-twenty.patch
	run "$scripts/send" TOPIC=two SEND=1
	one_error
	[[ $output == *"-two-v1 is older than"* ]]
}

@test "topics: refresh keeps them, also of rewritten commits" {
	setup_topics
	"$scripts/edit"
	run "$scripts/refresh"
	[ "$status" -eq 0 ]
	[[ $output == *"nothing changed"* ]]
	unchanged
	# The first patch of a topic gets another subject and another line.
	GIT_SEQUENCE_EDITOR="sed -i '2s/^pick/edit/'" git -C "$edit" rebase -q -i base
	sed -i 's/^41$/more/' "$edit/$file"
	git -C "$edit" commit -q -a --amend -m 'Say more' -m 'Words are better.'
	git -C "$edit" rebase --continue
	"$scripts/refresh"
	[ "$(series)" = "# topic: one;Say-twenty.patch;# topic: two rfc needs one;Say-more.patch;# topic: three on-request;Say-fifty.patch" ]
	# It is known by its new name from now on.
	GIT_SEQUENCE_EDITOR="sed -i '2s/^pick/edit/'" git -C "$edit" rebase -q -i base
	git -C "$edit" commit -q --amend -m 'Say even more' -m 'Words are better.'
	git -C "$edit" rebase --continue
	"$scripts/refresh"
	[ "$(series)" = "# topic: one;Say-twenty.patch;# topic: two rfc needs one;Say-even-more.patch;# topic: three on-request;Say-fifty.patch" ]
}

@test "topics: a new commit gets that of the one before it" {
	setup_topics
	"$scripts/edit"
	git -C "$edit" reset -q --hard base
	commit "$edit" 10 ten
	git -C "$edit" cherry-pick stored~2 >/dev/null
	commit "$edit" 60 sixty
	git -C "$edit" cherry-pick stored~1 stored >/dev/null
	"$scripts/refresh"
	[ "$(series)" = "# topic: one;Say-ten.patch;Say-twenty.patch;Say-sixty.patch;# topic: two rfc needs one;Say-forty.patch;# topic: three on-request;Say-fifty.patch" ]
}

@test "topics: refresh refuses to tear one apart, or to drop one that is needed" {
	setup_topics
	sed -i '/^# topic: two/d' patches/linux-6.12.y/series
	rm -r stored
	cp -r patches stored
	"$scripts/edit"
	git -C "$edit" reset -q --hard base
	git -C "$edit" cherry-pick stored~2 stored stored~1 >/dev/null
	run "$scripts/refresh"
	one_error
	[[ $output == *"the patches of the topic 'one' are no longer one after the other" ]]
	unchanged
	sed -i 's/^# topic: three.*/# topic: three needs one/' patches/linux-6.12.y/series
	git -C "$edit" reset -q --hard base
	git -C "$edit" cherry-pick stored >/dev/null
	run "$scripts/refresh"
	one_error
	[[ $output == *"the topic three needs one, which is no topic before it" ]]
	[ -e patches/linux-6.12.y/Say-twenty.patch ]
}

@test "topics: rebase keeps them" {
	setup_topics
	tree other 42 forty-two
	run "$scripts/rebase" KDIR="$PWD/other"
	[ "$status" -eq 0 ]
	[[ $output == *"changed: Say-forty.patch"* ]]
	cmp stored/linux-6.12.y/series patches/linux-6.12.y/series
}
