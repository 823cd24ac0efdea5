#!/bin/bash
# SPDX-License-Identifier: MIT
#
# usage: test_completion.sh COMPLETION-FILE; XENOPUS is the program. Completes words and compares.
set -u
# shellcheck disable=SC1090
. "$1"
wrong=0

# expect WANTED WORD... - completing the last word offers WANTED (a pattern among all, separated by spaces)
expect() {
	local wanted=$1
	shift
	COMP_WORDS=("$XENOPUS" "$@")
	COMP_CWORD=$#
	_xenopus
	case " ${COMPREPLY[*]} " in
	*" $wanted "*) ;;
	*)
		echo "FAIL $*: '${COMPREPLY[*]}' has no $wanted"
		wrong=1
		;;
	esac
}

expect serve se
expect sched-bvt ''
expect --help --h
expect credit serve --sched cr
expect --sched serve --sch
expect --paused create --pa
expect --socket list --so
expect --short uptime --sh
expect pv console -t ''
expect --warp-limit sched-bvt --warp
expect "$1" create "${1%ion}"
XENOPUS_SOCKET=/nowhere expect '' pause ''
exit $wrong
