# SPDX-License-Identifier: Apache-2.0
# Made by `proctor help --bash`.
_proctor()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
	local verb=${COMP_WORDS[1]} opts= args= takes= i=2 at=2
	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		COMPREPLY=($(compgen -W " run sh exec start attach ps logs wait kill stop signal write inspect stats top rm prune cancel sandbox events policy doctor daemon box version help" -- "$cur"))
		return
	fi
	case $verb in
	sandbox)
		if ((COMP_CWORD == 2)); then
			COMPREPLY=($(compgen -W " create ls inspect rm list get destroy" -- "$cur"))
			return
		fi
		verb="$verb ${COMP_WORDS[2]}" at=3
		;;
	policy)
		if ((COMP_CWORD == 2)); then
			COMPREPLY=($(compgen -W " show check" -- "$cur"))
			return
		fi
		verb="$verb ${COMP_WORDS[2]}" at=3
		;;
	daemon)
		if ((COMP_CWORD == 2)); then
			COMPREPLY=($(compgen -W " start stop restart status" -- "$cur"))
			return
		fi
		verb="$verb ${COMP_WORDS[2]}" at=3
		;;
	box)
		if ((COMP_CWORD == 2)); then
			COMPREPLY=($(compgen -W " show" -- "$cur"))
			return
		fi
		verb="$verb ${COMP_WORDS[2]}" at=3
		;;
	esac
	case $prev in
	--leftover)
		COMPREPLY=($(compgen -W "keep kill" -- "$cur"))
		return
		;;
	--on-disconnect)
		COMPREPLY=($(compgen -W "detach kill" -- "$cur"))
		return
		;;
	--capture)
		COMPREPLY=($(compgen -W "separate combined discard" -- "$cur"))
		return
		;;
	--overflow)
		COMPREPLY=($(compgen -W "drop_oldest block" -- "$cur"))
		return
		;;
	--scope)
		COMPREPLY=($(compgen -W "tree process" -- "$cur"))
		return
		;;
	--for)
		COMPREPLY=($(compgen -W "exited closed empty" -- "$cur"))
		return
		;;
	--level)
		COMPREPLY=($(compgen -W "error warning info debug" -- "$cur"))
		return
		;;
	--output)
		COMPREPLY=($(compgen -W "stdout stderr" -- "$cur"))
		return
		;;
	--workdir | --workspace | -w)
		COMPREPLY=($(compgen -d -- "$cur"))
		return
		;;
	esac
	case $verb in
	"run")
		opts="--detach --interactive --tty --rm --detach-keys --env --workdir --label --name --timeout --grace --lifetime --idle --leftover --on-disconnect --memory --cpus --pids --pids-limit --cpu-time --open-files --file-size --core-size --output-limit --capture --ring --overflow --call-id --idempotency-key --trace-id --sandbox --profile --workspace --json --help "
		args="[--] COMMAND [ARG]..."
		takes="--detach-keys --env -e --workdir -w --label --name --timeout --grace --lifetime --idle --leftover --on-disconnect --memory -m --cpus --pids --pids-limit --cpu-time --open-files --file-size --core-size --output-limit --capture --ring --overflow --call-id --idempotency-key --trace-id --sandbox --profile --workspace "
		;;
	"sh")
		opts="--detach --interactive --tty --rm --detach-keys --command --shell --login --env --workdir --label --name --timeout --grace --lifetime --idle --leftover --on-disconnect --memory --cpus --pids --pids-limit --cpu-time --open-files --file-size --core-size --output-limit --capture --ring --overflow --call-id --idempotency-key --trace-id --sandbox --profile --workspace --json --help "
		args="[-c COMMAND] [ARG]..."
		takes="--detach-keys --command -c --shell --env -e --workdir -w --label --name --timeout --grace --lifetime --idle --leftover --on-disconnect --memory -m --cpus --pids --pids-limit --cpu-time --open-files --file-size --core-size --output-limit --capture --ring --overflow --call-id --idempotency-key --trace-id --sandbox --profile --workspace "
		;;
	"exec")
		opts="--detach --interactive --tty --rm --detach-keys --env --workdir --label --name --timeout --grace --lifetime --idle --leftover --on-disconnect --memory --cpus --pids --pids-limit --cpu-time --open-files --file-size --core-size --output-limit --capture --ring --overflow --call-id --idempotency-key --trace-id --profile --workspace --json --help "
		args="SANDBOX [--] COMMAND [ARG]..."
		takes="--detach-keys --env -e --workdir -w --label --name --timeout --grace --lifetime --idle --leftover --on-disconnect --memory -m --cpus --pids --pids-limit --cpu-time --open-files --file-size --core-size --output-limit --capture --ring --overflow --call-id --idempotency-key --trace-id --profile --workspace "
		;;
	"start")
		opts="--detach --interactive --tty --rm --detach-keys --env --workdir --label --name --timeout --grace --lifetime --idle --leftover --on-disconnect --memory --cpus --pids --pids-limit --cpu-time --open-files --file-size --core-size --output-limit --capture --ring --overflow --call-id --idempotency-key --trace-id --sandbox --profile --workspace --json --help "
		args="[--] COMMAND [ARG]..."
		takes="--detach-keys --env -e --workdir -w --label --name --timeout --grace --lifetime --idle --leftover --on-disconnect --memory -m --cpus --pids --pids-limit --cpu-time --open-files --file-size --core-size --output-limit --capture --ring --overflow --call-id --idempotency-key --trace-id --sandbox --profile --workspace "
		;;
	"attach")
		opts="--interactive --detach-keys --new --json --help "
		args="ID"
		;;
	"ps")
		opts="--all --quiet --filter --json --help "
		args=""
		;;
	"logs")
		opts="--follow --since --tail --stdout --stderr --json --help "
		args="ID"
		;;
	"wait")
		opts="--timeout --for --json --help "
		args="ID..."
		;;
	"kill")
		opts="--grace --signal --dry-run --reason --json --help "
		args="ID..."
		;;
	"stop")
		opts="--grace --signal --dry-run --reason --json --help "
		args="ID..."
		;;
	"signal")
		opts="--signal --scope --json --help "
		args="[SIGNAL] ID..."
		;;
	"write")
		opts="--close --newline --json --help "
		args="ID [TEXT]"
		;;
	"inspect")
		opts="--help "
		args="ID..."
		;;
	"stats")
		opts="--watch --interval --json --help "
		args="[ID]..."
		;;
	"top")
		opts="--watch --interval --json --help "
		args="[ID]..."
		;;
	"rm")
		opts="--force --json --help "
		args="ID..."
		;;
	"prune")
		opts="--json --help "
		args=""
		;;
	"cancel")
		opts="--json --help "
		args="CALL_ID"
		;;
	"sandbox create")
		opts="--label --name --lifetime --idle --profile --workspace --json --help "
		args=""
		;;
	"sandbox ls")
		opts="--quiet --json --help "
		args=""
		;;
	"sandbox inspect")
		opts="--help "
		args="ID..."
		;;
	"sandbox rm")
		opts="--json --help "
		args="ID..."
		;;
	"sandbox list")
		opts="--quiet --json --help "
		args=""
		;;
	"sandbox get")
		opts="--help "
		args="ID..."
		;;
	"sandbox destroy")
		opts="--json --help "
		args="ID..."
		;;
	"events")
		opts="--sandbox --kind --label --level --json --help "
		args="[ID]"
		;;
	"policy show")
		opts="--profile --workspace --json --help "
		args="[PROFILE]"
		;;
	"policy check")
		opts="--env --workdir --label --name --timeout --grace --lifetime --idle --leftover --on-disconnect --memory --cpus --pids --pids-limit --cpu-time --open-files --file-size --core-size --output-limit --capture --ring --overflow --call-id --idempotency-key --trace-id --sandbox --profile --workspace --json --help "
		args="[--] COMMAND [ARG]..."
		takes="--env -e --workdir -w --label --name --timeout --grace --lifetime --idle --leftover --on-disconnect --memory -m --cpus --pids --pids-limit --cpu-time --open-files --file-size --core-size --output-limit --capture --ring --overflow --call-id --idempotency-key --trace-id --sandbox --profile --workspace "
		;;
	"doctor")
		opts="--profile --workspace --json --help "
		args="[PROFILE]"
		;;
	"daemon start")
		opts="--json --help "
		args=""
		;;
	"daemon stop")
		opts="--kill --help "
		args=""
		;;
	"daemon restart")
		opts="--kill --help "
		args=""
		;;
	"daemon status")
		opts="--json --help "
		args=""
		;;
	"box show")
		opts="--output --json --help "
		args="FILE"
		;;
	"version")
		opts="--json --help "
		args=""
		;;
	"help")
		opts="--man --bash --zsh --fish --help "
		args="[VERB]"
		;;
	*)
		;;
	esac
	case $verb in
	run | start | exec | sh)
		for ((i = at; i < COMP_CWORD; i++)); do
			case ${COMP_WORDS[i]} in
			--) ((i++)); break ;;
			-*) [[ " $takes " == *" ${COMP_WORDS[i]} "* ]] && ((i++)) ;;
			*) break ;;
			esac
		done
		[[ $verb == exec ]] && ((i++))
		if ((i < COMP_CWORD)) && declare -F _command_offset >/dev/null; then
			_command_offset $i
			return
		fi
		;;
	esac
	if [[ $cur == -* ]]; then
		COMPREPLY=($(compgen -W "$opts" -- "$cur"))
		return
	fi
	case $args in
	ID*) COMPREPLY=($(compgen -W "$(proctor ps -aq 2>/dev/null)" -- "$cur")) ;;
	SANDBOX*)
		COMPREPLY=($(compgen -W "$(proctor sandbox ls -q 2>/dev/null)" -- "$cur"))
		;;
	FILE*) COMPREPLY=($(compgen -f -- "$cur")) ;;
	*COMMAND*) COMPREPLY=($(compgen -c -- "$cur")) ;;
	esac
}
complete -o bashdefault -o default -F _proctor proctor
