/* SPDX-License-Identifier: Apache-2.0 */

/* Help, the manual's part on verbs and shell completion, from the two tables. */

#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "out.h"

#define INDENT 26

static void print_option(const struct opt *o)
{
	char left[80];
	int n = snprintf(left, sizeof(left), "  %c%c%c --%s%s%s", o->letter ? '-' : ' ',
			 o->letter ? o->letter : ' ', o->letter ? ',' : ' ', o->name,
			 o->arg ? " " : "", o->arg ? o->arg : "");

	if (n < INDENT)
		(void)printf("%-*s%s\n", INDENT, left, o->doc);
	else
		(void)printf("%s\n%*s%s\n", left, INDENT, "", o->doc);
}

static void print_verb(const struct verb *v)
{
	(void)printf("Usage: proctor %s [OPTION]...%s%s\n\n%s.\n", v->name,
		     *v->operands ? " " : "", v->operands, v->doc);
	(void)puts("");
	for (const struct opt *o = opt_table; o->name; o++)
		if (o->groups & (v->groups | OPT_G_ALL))
			print_option(o);
	if (v->more)
		(void)printf("\n%s\n", v->more);
}

static void print_all(void)
{
	(void)puts("Usage: proctor VERB [OPTION]... [ARGUMENT]...\n\n"
		   "Runs commands in sandboxes, records them and never loses one.\n");
	for (const struct verb *v = verb_table; v->name; v++)
		if (!(v->flags & VERB_HIDDEN))
			(void)printf("  %-16s %s\n", v->name, v->doc);
	(void)puts("\n`proctor help VERB` or `proctor VERB --help` shows its options.\n"
		   "Options stand before COMMAND; what follows it belongs to it.");
}

/* --- man(7) --- */

/* Text: backslashes, hyphens and a dot that begins a line are special. */
static void roff(const char *text)
{
	bool begins = true;

	for (; *text; text++) {
		if (begins && (*text == '.' || *text == '\''))
			(void)fputs("\\&", stdout);
		if (*text == '\\')
			(void)fputs("\\e", stdout);
		else if (*text == '-')
			(void)fputs("\\-", stdout);
		else
			(void)putchar(*text);
		begins = *text == '\n';
	}
}

static void roff_option_names(const struct verb *v)
{
	const char *between = ".PP\nOptions:\n";

	for (const struct opt *o = opt_table; o->name; o++) {
		if (!(o->groups & (v->groups | OPT_G_ALL)))
			continue;
		(void)printf("%s\\fB\\-\\-", between);
		roff(o->name);
		(void)fputs("\\fR", stdout);
		between = ",\n";
	}
	(void)puts("");
}

static void roff_verb(const struct verb *v)
{
	(void)fputs(".SS \"proctor ", stdout);
	roff(v->name);
	(void)fputs(*v->operands ? " [OPTION]... " : " [OPTION]...", stdout);
	roff(v->operands);
	(void)puts("\"");
	roff(v->doc);
	(void)puts(".");
	if (v->more) {
		roff(v->more);
		(void)puts("");
	}
	roff_option_names(v);
}

/* Whether another row has the same name, for other verbs. */
static bool has_namesake(const struct opt *o)
{
	for (const struct opt *p = opt_table; p->name; p++)
		if (p != o && strcmp(p->name, o->name) == 0)
			return true;
	return false;
}

static void roff_takers(const struct opt *o)
{
	const char *between = " (";

	for (const struct verb *v = verb_table; v->name; v++) {
		if (!(o->groups & v->groups) || v->flags & VERB_HIDDEN)
			continue;
		(void)fputs(between, stdout);
		roff(v->name);
		between = ", ";
	}
	(void)putchar(')');
}

static void roff_option(const struct opt *o)
{
	(void)puts(".TP");
	if (o->letter)
		(void)printf("\\fB\\-%c\\fR, ", o->letter);
	(void)fputs("\\fB\\-\\-", stdout);
	roff(o->name);
	(void)fputs("\\fR", stdout);
	if (o->arg) {
		(void)fputs(" \\fI", stdout);
		roff(o->arg);
		(void)fputs("\\fR", stdout);
	}
	if (has_namesake(o))
		roff_takers(o);
	(void)puts("");
	roff(o->doc);
	(void)puts("");
}

static void print_man(void)
{
	(void)puts(".SH VERBS");
	for (const struct verb *v = verb_table; v->name; v++)
		roff_verb(v);
	(void)puts(".SH OPTIONS");
	for (const struct opt *o = opt_table; o->name; o++)
		roff_option(o);
}

/* --- completion --- */

static void print_choices(const struct opt *o, const char *between)
{
	for (const char *const *c = o->choices; *c; c++)
		(void)printf("%s%s", c == o->choices ? "" : between, *c);
}

/* The second words behind a first one, or none. */
static void print_words(const char *first, size_t len)
{
	for (const struct verb *v = verb_table; v->name; v++) {
		const char *space = strchr(v->name, ' ');

		if (first && space && (size_t)(space - v->name) == len &&
		    memcmp(v->name, first, len) == 0)
			(void)printf(" %s", space + 1);
	}
}

/* Each first word once: verbs of two words stand together in the table. */
static bool is_new_word(const struct verb *v, size_t *ret_len)
{
	const char *space = strchr(v->name, ' ');
	size_t len = space ? (size_t)(space - v->name) : strlen(v->name);

	*ret_len = len;
	if (!space)
		return true;
	for (const struct verb *u = verb_table; u != v; u++)
		if (strncmp(u->name, v->name, len + 1) == 0)
			return false;
	return true;
}

static void print_first_words(void)
{
	size_t len;

	for (const struct verb *v = verb_table; v->name; v++)
		if (is_new_word(v, &len))
			(void)printf(" %.*s", (int)len, v->name);
}

static const char bash_head[] =
	"# SPDX-License-Identifier: Apache-2.0\n"
	"# Made by `proctor help --bash`.\n"
	"_proctor()\n"
	"{\n"
	"	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	"	local verb=${COMP_WORDS[1]} opts= args= takes= i=2 at=2\n"
	"	COMPREPLY=()\n"
	"	if ((COMP_CWORD == 1)); then\n";

static const char bash_ids[] =
	"	*)\n"
	"		;;\n"
	"	esac\n"
	"	case $verb in\n"
	"	run | start | exec | sh)\n"
	"		for ((i = at; i < COMP_CWORD; i++)); do\n"
	"			case ${COMP_WORDS[i]} in\n"
	"			--) ((i++)); break ;;\n"
	"			-*) [[ \" $takes \" == *\" ${COMP_WORDS[i]} \"* ]] && "
	"((i++)) ;;\n"
	"			*) break ;;\n"
	"			esac\n"
	"		done\n"
	"		[[ $verb == exec ]] && ((i++))\n"
	"		if ((i < COMP_CWORD)) && declare -F _command_offset >/dev/null; "
	"then\n"
	"			_command_offset $i\n"
	"			return\n"
	"		fi\n"
	"		;;\n"
	"	esac\n"
	"	if [[ $cur == -* ]]; then\n"
	"		COMPREPLY=($(compgen -W \"$opts\" -- \"$cur\"))\n"
	"		return\n"
	"	fi\n"
	"	case $args in\n"
	"	ID*) COMPREPLY=($(compgen -W \"$(proctor ps -aq 2>/dev/null)\" -- "
	"\"$cur\")) ;;\n"
	"	SANDBOX*)\n"
	"		COMPREPLY=($(compgen -W \"$(proctor sandbox ls -q 2>/dev/null)\" "
	"-- \"$cur\"))\n"
	"		;;\n"
	"	FILE*) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
	"	*COMMAND*) COMPREPLY=($(compgen -c -- \"$cur\")) ;;\n"
	"	esac\n"
	"}\n"
	"complete -o bashdefault -o default -F _proctor proctor\n";

static void bash_values(void)
{
	(void)puts("	case $prev in");
	for (const struct opt *o = opt_table; o->name; o++) {
		if (o->kind != OPT_IS_CHOICE)
			continue;
		(void)printf("	--%s)\n		COMPREPLY=($(compgen -W \"", o->name);
		print_choices(o, " ");
		(void)puts("\" -- \"$cur\"))\n		return\n		;;");
	}
	(void)puts("	--workdir | --workspace | -w)\n"
		   "		COMPREPLY=($(compgen -d -- \"$cur\"))\n"
		   "		return\n"
		   "		;;\n"
		   "	esac");
}

static void bash_verb(const struct verb *v)
{
	(void)printf("	\"%s\")\n		opts=\"", v->name);
	for (const struct opt *o = opt_table; o->name; o++)
		if (o->groups & (v->groups | OPT_G_ALL))
			(void)printf("--%s ", o->name);
	(void)printf("\"\n		args=\"%s\"\n", v->operands);
	if (v->flags & VERB_COMMAND) {
		(void)fputs("		takes=\"", stdout);
		for (const struct opt *o = opt_table; o->name; o++) {
			if (!(o->groups & v->groups) || !o->arg)
				continue;
			(void)printf("--%s ", o->name);
			if (o->letter)
				(void)printf("-%c ", o->letter);
		}
		(void)puts("\"");
	}
	(void)puts("		;;");
}

static void print_bash(void)
{
	size_t len;

	(void)fputs(bash_head, stdout);
	(void)fputs("		COMPREPLY=($(compgen -W \"", stdout);
	print_first_words();
	(void)puts("\" -- \"$cur\"))\n		return\n	fi\n	case $verb in");
	for (const struct verb *v = verb_table; v->name; v++) {
		if (!strchr(v->name, ' ') || !is_new_word(v, &len))
			continue;
		(void)printf("	%.*s)\n		if ((COMP_CWORD == 2)); then\n"
			     "			COMPREPLY=($(compgen -W \"",
			     (int)len, v->name);
		print_words(v->name, len);
		(void)puts("\" -- \"$cur\"))\n			return\n		"
			   "fi\n"
			   "		verb=\"$verb ${COMP_WORDS[2]}\" at=3\n		"
			   ";;");
	}
	(void)puts("	esac");
	bash_values();
	(void)puts("	case $verb in");
	for (const struct verb *v = verb_table; v->name; v++)
		bash_verb(v);
	(void)fputs(bash_ids, stdout);
}

static void print_zsh(void)
{
	(void)puts(
		"#compdef proctor\n# SPDX-License-Identifier: Apache-2.0\n"
		"# Made by `proctor help --zsh`: bash's completion, which zsh can use.\n"
		"autoload -U +X bashcompinit && bashcompinit");
	print_bash();
}

/* Between single quotes in fish: only ' and \ are special. */
static void fish_quoted(const char *text)
{
	(void)putchar('\'');
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			(void)putchar('\\');
		(void)putchar(*text);
	}
	(void)putchar('\'');
}

static void fish_verb(const struct verb *v)
{
	const char *space = strchr(v->name, ' ');
	int len = space ? (int)(space - v->name) : (int)strlen(v->name);

	if (space) {
		(void)printf("complete -c proctor -n '__fish_seen_subcommand_from %.*s' "
			     "-a '%s' -d ",
			     len, v->name, space + 1);
		fish_quoted(v->doc);
		(void)puts("");
		return;
	}
	(void)printf("complete -c proctor -n __fish_use_subcommand -a '%s' -d ", v->name);
	fish_quoted(v->doc);
	(void)puts("");
	for (const struct opt *o = opt_table; o->name; o++) {
		if (!(o->groups & (v->groups | OPT_G_ALL)))
			continue;
		(void)printf(
			"complete -c proctor -n '__fish_seen_subcommand_from %s' -l %s",
			v->name, o->name);
		if (o->letter)
			(void)printf(" -s %c", o->letter);
		if (o->kind == OPT_IS_CHOICE) {
			(void)fputs(" -x -a '", stdout);
			print_choices(o, " ");
			(void)putchar('\'');
		} else if (o->arg) {
			(void)fputs(" -r", stdout);
		}
		(void)fputs(" -d ", stdout);
		fish_quoted(o->doc);
		(void)puts("");
	}
}

static void print_fish(void)
{
	size_t len;

	(void)puts("# SPDX-License-Identifier: Apache-2.0\n# Made by `proctor help "
		   "--fish`.");
	for (const struct verb *v = verb_table; v->name; v++)
		if (strchr(v->name, ' ') && is_new_word(v, &len))
			(void)printf("complete -c proctor -n __fish_use_subcommand -a "
				     "'%.*s'\n",
				     (int)len, v->name);
	for (const struct verb *v = verb_table; v->name; v++)
		fish_verb(v);
}

/* Verbs of two words that begin with this one. */
static bool print_family(const char *first)
{
	size_t n = strlen(first);
	bool found = false;

	for (const struct verb *v = verb_table; v->name; v++) {
		if (v->flags & VERB_HIDDEN || strncmp(v->name, first, n) != 0 ||
		    v->name[n] != ' ')
			continue;
		(void)printf("  %-16s %s\n", v->name, v->doc);
		found = true;
	}
	return found;
}

int verb_help(struct cli *cli)
{
	const struct verb *v = cli->verb;
	bool asked = v && v->run == verb_help && !cli_has(cli, OPT_HELP);

	if (v && !asked) {
		print_verb(v);
		return 0;
	}
	if (cli_has(cli, OPT_MAN))
		print_man();
	else if (cli_has(cli, OPT_BASH))
		print_bash();
	else if (cli_has(cli, OPT_ZSH))
		print_zsh();
	else if (cli_has(cli, OPT_FISH))
		print_fish();
	else if (cli->args.n_operands == 0)
		print_all();
	else if (verb_find(cli->args.n_operands, cli->args.operands, &v) > 0)
		print_verb(v);
	else if (!print_family(cli->args.operands[0]))
		return cli_usage(cli, "there is no verb \"%s\"", cli->args.operands[0]);
	return 0;
}
