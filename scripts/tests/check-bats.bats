#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only
#
# check-bats: which lines cannot fail.

load common

# lines_of TEXT: the numbers of the lines that check-bats names.
lines_of() {
	printf '%s\n' "$1" >t.bats
	"$scripts/check-bats" t.bats | cut -d : -f 2 | xargs
}

@test "check-bats: a list of two assertions is named, in each form" {
	[ "$(lines_of 'true && false')" = 1 ]
	[ "$(lines_of $'run x\n\t[ "$status" -ge 128 ] && one_error')" = 2 ]
	[ "$(lines_of 'for a in b; do [ a ] && [[ $b == c ]]; done')" = 1 ]
	[ "$(lines_of $'[ a ] &&\n\t[ b ]')" = 1 ]
	[ "$(lines_of '[ "$(cmd "x")" = y ] && [ z ]')" = 1 ]
	[ "$(lines_of 'a || b && c')" = 1 ]
	[ "$(lines_of 'if a; then b && c; fi')" = 1 ]
	[ "$(lines_of $'cat <<-END\n\t\ta && b\n\tEND\na && b')" = 4 ]
	[ "$(lines_of $'a <<<"&&"\na && b')" = 2 ]
	[ "$(lines_of $'(\n\tcat <<-END\n\t\tit\'s\n\tEND\n)\na && b')" = 6 ]
	[ "$(lines_of $'case a in\nb) c && d ;;\nesac')" = 2 ]
}

@test "check-bats: what can fail is not" {
	[ -z "$(lines_of '[[ $output == *a* && $output != *b* ]]')" ]
	[ -z "$(lines_of 'a && b || return 1')" ]
	[ -z "$(lines_of 'if a && b; then c; fi')" ]
	[ -z "$(lines_of '( cd .. && a )')" ]
	[ -z "$(lines_of '[ "$(cd a && b)" = c ]')" ]
	[ -z "$(lines_of $'stub a \'b &&\n\tc && d\'')" ]
	[ -z "$(lines_of $'cat >a <<-\'END\'\n\t\ta && b\n\tEND')" ]
	[ -z "$(lines_of '((a && b))')" ]
	[ -z "$(lines_of '# a && b')" ]
}

@test "check-bats: its status, and no file" {
	echo 'a && b' >bad.bats
	echo 'a' >good.bats
	run "$scripts/check-bats" good.bats
	[ "$status" -eq 0 ]
	run "$scripts/check-bats" good.bats bad.bats
	[ "$status" -eq 1 ]
	[[ $output == "bad.bats:1: "* ]]
	run "$scripts/check-bats"
	[ "$status" -ne 0 ]
}
