# SPDX-License-Identifier: Apache-2.0
# bash completion for capsule: asks capsule itself for its commands and options.
_capsule() {
	local word=${COMP_WORDS[COMP_CWORD]} cmd=${COMP_WORDS[1]}

	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "$(capsule complete | cut -f 1) --help --version" -- "$word")
	elif [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(capsule complete "$cmd" | cut -f 1) --help" -- "$word")
	elif [ "$cmd" = record ]; then
		mapfile -t COMPREPLY < <(compgen -c -- "$word")
	else
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
	fi
}
complete -o default -F _capsule capsule
