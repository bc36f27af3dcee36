# SPDX-License-Identifier: Apache-2.0
"""
What a profile says about files: what it shows beside system directories and workspace,
and who can write to it. As root and as an ordinary user; the home is one of the test's.
"""

import contextlib
import os
import pathlib
import socket
import subprocess

import pytest

import engine as engines
import wire
from conftest import finish
from fixtures import being, home_for, refused_or_not_started, whose  # noqa: F401 (a fixture)

SYSTEM = "/usr, /bin, /sbin, /lib, /lib32, /lib64, /etc"
HEAD = "doc: a test\nbackend: native\nnetwork: {mode: none}\n"


class World:
    """A home, a directory of others, and an engine that has profiles of ours."""

    def __init__(self, base, user):
        self.user = user
        self.base = base
        self.home = self.make("home/", mode=0o755)
        self.data = self.make("data/", mode=0o755)
        self.config = self.make("config/profiles/", mode=0o755)
        self.engine = None

    def make(self, name, text="", mode=0o644):
        """A file, or, with a slash at the end, a directory; owned by the engine's user."""
        to = self.base / name
        made = [p for p in (to, *to.parents) if not p.exists()]
        if name.endswith("/"):
            to.mkdir(parents=True, exist_ok=True)
            mode |= 0o111
        else:
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_text(text)
        to.chmod(mode)
        for p in made if self.user is not None else []:
            os.chown(p, self.user, self.user)
        return to

    def profile(self, name, filesystem="", more=""):
        text = f"{HEAD}filesystem:\n  read: [{SYSTEM}]\n" if "read:" not in filesystem \
            else f"{HEAD}filesystem:\n"
        self.make(f"config/profiles/{name}.yaml", f"{text}{filesystem}{more}")

    def start(self, **env):
        self.engine = engines.Engine(
            self.base, user=self.user,
            env={"PROCTOR_CONFIG_DIR": str(self.config.parent),
                 "PROCTOR_TEST_HOME": str(self.home), **env}).start()
        return self.engine

    @contextlib.contextmanager
    def use(self, name, **hello):
        with being(self.user):
            c = wire.Connection(wire.dial(self.engine.socket)).greet(
                profiles=[name], workspace=str(self.engine.workspace), **hello)
        with c:
            yield c


def read_list(*more):
    return "  read: [" + ", ".join([SYSTEM, *(f'"{m}"' for m in more)]) + "]\n"


def write_list(*these):
    return "  write: [" + ", ".join(f'"{m}"' for m in these) + "]\n"


@pytest.fixture
def world(whose, place):  # noqa: F811
    w = World(home_for(pathlib.Path(place), whose, "w"), whose)
    # The test's own directories are to be passed by the engine's user.
    w.base.chmod(0o755)
    yield w
    if w.engine:
        finish(w.engine)


def said(c, command, **params):
    r = c.sh(command, **params)
    assert r["exit_code"] == 0, (dict(r), r.out, r.err)
    return r.out.decode()


def test_what_is_named_is_seen_and_cannot_be_written(world):
    world.make("home/.nvm/versions/node/v1/bin/node", "#!/bin/sh\necho node\n", 0o755)
    world.make("home/.gitconfig", "[user]\n\tname = somebody\n")
    world.make("home/secret", "hidden")
    world.make("data/tools/x", "tool")
    world.make("data/other", "hidden")
    world.profile("p", read_list("~/.nvm", "~/.gitconfig", f"{world.data}/tools"))
    world.start()
    with world.use("p") as c:
        assert said(c, "~/.nvm/versions/node/v1/bin/node; cat ~/.gitconfig") == \
            "node\n[user]\n\tname = somebody\n"
        assert said(c, f"cat {world.data}/tools/x; ls -A ~; ls {world.data}") == \
            "tool.gitconfig\n.nvm\ntools\n"
        for change in ("touch ~/.nvm/x", "rm ~/.gitconfig", "echo >~/.gitconfig",
                       "mv ~/.nvm ~/n", "chmod 777 ~/.nvm", "rm -r ~/.nvm/versions",
                       f"rm {world.data}/tools/x"):
            assert c.sh(change)["exit_code"] != 0, change
        # Beside it the home is private and can be written to as ever.
        said(c, "mkdir ~/.config && echo x >~/.config/x")
    assert sorted(p.name for p in world.home.iterdir()) == [".gitconfig", ".nvm", "secret"]
    assert (world.home / ".gitconfig").stat().st_size > 0


def test_mounts_of_it_give_no_rights(world):
    world.make("home/tools/x", "x")
    world.profile("p", read_list("~/tools") + write_list("~/cache"))
    world.make("home/cache/")
    world.start()
    with world.use("p") as c:
        rows = said(c, "cat /proc/self/mountinfo").splitlines()
    options = {row.split()[4]: row.split()[5].split(",") for row in rows}
    for name, way in (("tools", "ro"), ("cache", "rw")):
        assert {way, "nosuid", "nodev"} <= set(options[f"{world.home}/{name}"]), options


def test_what_may_be_written_is_written_as_the_principal(world):
    world.make("home/.cache/npm/")
    world.make("home/notes", "old\n")
    world.profile("p", write_list("~/.cache/npm", "~/notes", f"{world.data}"))
    world.start()
    with world.use("p") as c:
        said(c, f"echo new >~/.cache/npm/x; echo more >>~/notes; echo d >{world.data}/d")
        said(c, "mv ~/.cache/npm/x ~/.cache/npm/y")
    there = world.home / ".cache/npm/y"
    assert there.read_text() == "new\n" and there.stat().st_uid == (world.user or 0)
    assert (world.home / "notes").read_text() == "old\nmore\n"
    assert (world.data / "d").read_text() == "d\n"
    assert [p.name for p in (world.home / ".cache").iterdir()] == ["npm"]


def test_what_is_absent_or_a_link_is_left_out(world):
    world.make("home/.ssh/key", "hidden")
    world.make("data/real/x", "x")
    (world.home / "link").symlink_to(world.home / ".ssh")
    (world.data / "way").symlink_to(world.data / "real")
    world.profile("p", read_list("~/none", "~/link", f"{world.data}/way/x",
                                 f"{world.data}/real/x/below"))
    world.start()
    with world.use("p") as c:
        for path in ("~/none", "~/link/key", f"{world.data}/way/x", f"{world.data}/real/x"):
            assert c.sh(f"cat {path}")["exit_code"] != 0, path
        # Made later, it is there for the next command.
        world.make("home/none", "now")
        assert said(c, "cat ~/none") == "now"


def test_a_link_that_a_command_plants_shows_nothing(world):
    world.make("home/.ssh/key", "hidden")
    world.make("ws/tools/x", "x")
    ws = world.base / "ws"
    world.profile("p", read_list(f"{ws}/tools", f"{ws}/deep/tools"))
    world.start()
    with world.use("p") as c:
        # Read-only, although in the workspace.
        assert c.sh("echo >tools/y")["exit_code"] != 0
        said(c, f"ln -s {world.home} deep; ln -s {world.home}/.ssh other")
        for path in ("deep/.ssh/key", "other/key"):
            assert c.sh(f"cat {path}")["exit_code"] != 0, path
        (ws / "tools/x").unlink()
        (ws / "tools").rmdir()
        said(c, f"ln -s {world.home}/.ssh tools")
        assert c.sh("cat tools/key")["exit_code"] != 0


def test_a_directory_that_is_swapped_for_a_link_all_the_time_shows_nothing_else(world):
    """Whatever the launcher comes upon, it is the directory or nothing."""
    world.make("home/.ssh/key", "hidden")
    world.make("data/tools/key", "mine")
    world.profile("p", read_list(f"{world.data}/tools"))
    world.start()
    a, b = world.data / "tools", world.data / "swap"
    b.symlink_to(world.home / ".ssh")
    pid = os.fork()
    if pid == 0:
        libc = engines.ctypes.CDLL(None)
        while True:  # RENAME_EXCHANGE
            libc.renameat2(-100, os.fsencode(a), -100, os.fsencode(b), 2)
    try:
        with world.use("p") as c:
            outs = {c.sh(f"cat {a}/key").out for _ in range(60)}
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    assert outs <= {b"mine", b""} and b"mine" in outs, outs


def test_the_engines_own_directories_are_never_shown(world):
    world.profile("state", read_list(f"{world.base}/state/boxes"))
    world.profile("above", write_list(str(world.base)))
    world.profile("run", read_list(f"{world.base}/run"))
    world.start()
    for name in ("state", "above", "run"):
        with world.use(name) as c:
            e = c.refused("process.run", {"argv": ["true"]})
            assert e.code == "denied" and "filesystem." in str(e), e


def test_a_socket_is_not_shown(world):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(world.home / "agent"))
        world.profile("p", read_list("~/agent"))
        world.start()
        with world.use("p") as c:
            assert refused_or_not_started(c, argv=["true"]) == "unsupported"


def test_a_user_without_a_home_has_no_tilde(world):
    world.make("data/x", "x")
    world.profile("p", read_list("~/x", f"{world.data}/x"))
    world.start(PROCTOR_TEST_HOME="/nonexistent")
    with world.use("p") as c:
        assert said(c, f"cat {world.data}/x; ls -A ~") == "x"


def test_a_named_sandbox_shows_the_same(world):
    world.make("home/.nvm/x", "x")
    world.profile("p", read_list("~/.nvm"))
    world.start()
    with world.use("p") as c:
        s = c.call("sandbox.create", {})
        for _ in range(2):
            assert said(c, "cat ~/.nvm/x; ! touch ~/.nvm/y 2>&-; touch ~/z",
                        sandbox=s["id"]) == "x"
        c.call("sandbox.destroy", {"id": s["id"]})


def test_only_what_others_may_read_of_roots_home_is_read(world):
    if world.user is not None:
        pytest.skip("an ordinary user reads his own files")
    world.make("home/.tool/open", "open")
    world.make("home/.tool/closed", "hidden", 0o600)
    world.profile("p", read_list("~/.tool"))
    world.home.chmod(0o700)
    world.start()
    with world.use("p") as c:
        assert said(c, "cat ~/.tool/open") == "open"
        assert c.sh("cat ~/.tool/closed")["exit_code"] != 0


def test_no_more_than_so_many(world):
    for i in range(50):
        world.make(f"home/d{i}/x", str(i))
    world.profile("p", read_list(*(f"~/d{i}" for i in range(50))))
    world.start()
    with world.use("p") as c:
        assert said(c, "cat ~/d*/x | wc -c").strip() == str(10 + 40 * 2)
        assert said(c, "ls /proc/self/fd | wc -l").strip() == "4"


def test_path_of_the_caller_is_shown(world):
    """But what others could write to, and what is no absolute path."""
    for name in ("good", "loose", "linked"):
        world.make(f"data/{name}/{name}", f"#!/bin/sh\necho {name}\n", 0o755)
    (world.data / "loose").chmod(0o777)
    (world.data / "link").symlink_to(world.data / "linked")
    world.profile("p", more="environment: {path: caller}\n")
    path = f"/usr/bin:/bin:{world.data}/good/:{world.data}/loose:{world.data}/link::.:rel" \
           f":/proc/1:{world.base}/run:{world.data}/none"
    world.start()
    with world.use("p", path=path) as c:
        assert said(c, "good; echo $PATH") == f"good\n{path}\n"
        for name in ("loose", "linked"):
            assert c.sh(name)["exit_code"] == 127, name
        assert c.sh(f"touch {world.data}/good/x")["exit_code"] != 0
        assert c.sh(f"ls {world.base}/run")["exit_code"] != 0


# Masks


GIT = "git -c user.name=t -c user.email=t@e "
CHANGES = ("echo x >>{0}", "echo x >{0}", "rm -f {0}", "mv {0} {0}.old", "ln {0} hard",
           "touch new && mv new {0}", "chmod 777 {0}", "truncate -s 0 {0}")


def mask(**lists):
    return "  mask:\n" + "".join(
        f"    {k}: [" + ", ".join(f'"{m}"' for m in v) + "]\n" for k, v in lists.items())


def tree(path):
    return sorted(str(p.relative_to(path)) for p in path.rglob("*"))


@pytest.fixture
def repository(world):
    for name in ("hooks/post-commit.sample", "config", "HEAD"):
        world.make(f"ws/.git/{name}", f"{name}\n")
    world.make("ws/.vscode/tasks.json", "{}\n")
    world.make("ws/.env", "SECRET=1\n")
    world.make("ws/keys/key", "hidden\n")
    world.profile("p", mask(read_only=[".git/hooks", ".git/config", ".vscode", "absent/x",
                                       ".envrc"], hide=[".env", "keys"]))
    world.start()
    return world.base / "ws"


def test_a_masked_file_cannot_be_changed_in_any_way(world, repository):
    before = tree(repository)
    with world.use("p") as c:
        for change in CHANGES:
            assert c.sh(change.format(".git/config"))["exit_code"] != 0, change
            said(c, "rm -f new hard")
        assert said(c, "cat .git/config; echo x >>.git/HEAD; cat .git/HEAD") == \
            "config\nHEAD\nx\n"
    assert tree(repository) == before
    assert (repository / ".git/config").read_text() == "config\n"


def test_nothing_is_made_in_a_masked_directory(world, repository):
    before = tree(repository)
    with world.use("p") as c:
        for change in ("touch .git/hooks/pre-commit", "rmdir .git/hooks", "rm -rf .git/hooks",
                       "mv .git/hooks .git/h", "ln -s .git/hooks h && touch h/pre-commit",
                       "echo x >>.git/hooks/post-commit.sample",
                       "ln .git/hooks/post-commit.sample l",
                       "echo >.vscode/tasks.json", "mv .vscode v", "mkdir n && mv n .vscode"):
            assert c.sh(change)["exit_code"] != 0, change
            said(c, "rm -rf h n")
    assert tree(repository) == before


def test_a_parent_of_a_mask_cannot_be_renamed(world, repository):
    """Else a .git of the command's own could take its place."""
    with world.use("p") as c:
        assert b"busy" in c.sh("mv .git old").err
        assert c.sh("cp -r .git new && mv -T --exchange new .git")["exit_code"] != 0
        assert c.sh("rm -rf new .git; ls -d .git/hooks .git/config").out == \
            b".git/config\n.git/hooks\n"


def test_what_is_hidden_is_empty(world, repository):
    with world.use("p") as c:
        assert said(c, "cat .env; ls -A keys; ls -A | grep -c -e '^.env$' -e '^keys$'") == \
            "2\n"
        for change in ("rm .env", "mv .env e", "touch keys/x", "rm -r keys", "mv keys k"):
            assert c.sh(change)["exit_code"] != 0, change
        said(c, "echo x >.env || true")
    assert (repository / ".env").read_text() == "SECRET=1\n"
    assert tree(repository / "keys") == ["key"]


def test_masks_leave_nothing_behind_whatever_ends_the_command(world, repository):
    before = tree(repository)
    with world.use("p") as c:
        said(c, "true")
        s = c.start("sleep", "60")
        os.kill(next(p.ppid for p in engines.descendants() if p.comm == "sleep"), 9)
        c.wait(s["id"])
    assert tree(repository) == before


def test_two_commands_at_once_have_their_masks(world, repository):
    with world.use("p") as c:
        first = c.start("sh", "-c", "read x; ! touch .git/hooks/a 2>&-; ! mv .git g 2>&-",
                        stdin={"open": True})
        for _ in range(3):
            assert c.sh("mv .git/config c")["exit_code"] != 0
            assert c.sh("touch .git/hooks/a")["exit_code"] != 0
        c.call("process.write", {"id": first["id"], "data": "\n"})
        assert c.wait(first["id"])["exit_code"] == 0
    assert not (repository / ".git/hooks/a").exists()


def test_a_mask_is_made_anew_for_each_command(world, repository):
    """One that a rename outside has taken away, and one of what has come since."""
    with world.use("p") as c:
        s = c.call("sandbox.create", {})
        for sandbox in ({}, {"sandbox": s["id"]}):
            assert c.sh("echo >.git/config", **sandbox)["exit_code"] != 0
            world.make("ws/config.new", "config\n").rename(repository / ".git/config")
            world.make("ws/.envrc", "mine\n")
            assert c.sh("echo >.git/config", **sandbox)["exit_code"] != 0
            assert c.sh("echo >.envrc", **sandbox)["exit_code"] != 0
            (repository / ".envrc").unlink()
        c.call("sandbox.destroy", {"id": s["id"]})
    assert (repository / ".git/config").read_text() == "config\n"


def test_a_file_on_the_way_to_a_mask_is_masked(world):
    """As .git is in a worktree and in a submodule."""
    world.make("ws/.git", "gitdir: /elsewhere\n")
    world.profile("p", mask(read_only=[".git/hooks", ".git/config"]))
    world.start()
    with world.use("p") as c:
        for change in CHANGES:
            assert c.sh(change.format(".git"))["exit_code"] != 0, change
            said(c, "rm -f new hard")
    assert (world.base / "ws/.git").read_text() == "gitdir: /elsewhere\n"


def test_masks_hold_in_home_and_in_what_may_be_written(world):
    world.make("home/.tool/config", "old\n")
    world.make("home/.tool/token", "hidden\n")
    world.make("data/x/y", "old\n")
    world.profile("p", read_list("~/.tool") + write_list(str(world.data)) +
                  mask(read_only=[f"{world.data}/x/y"], hide=["~/.tool/token"]))
    world.start()
    with world.use("p") as c:
        assert said(c, "cat ~/.tool/config ~/.tool/token") == "old\n"
        for change in (f"echo >{world.data}/x/y", f"mv {world.data}/x {world.data}/z"):
            assert c.sh(change)["exit_code"] != 0, change
        said(c, f"touch {world.data}/x/z")


def test_git_commits_under_the_masks(world):
    world.profile("p", mask(read_only=[".git/hooks", ".git/config"]))
    world.profile("open")
    world.start()
    with world.use("open") as c:
        said(c, "git init -q . && echo a >a && git add a")
    with world.use("p") as c:
        said(c, GIT + "commit -qm one && git checkout -qb two && echo b >>a && "
             + GIT + "commit -qam two && git stash list && git gc -q")
        assert said(c, "git log --format=%s; git status --short") == "two\none\n"
        assert c.sh("git config core.hooksPath h")["exit_code"] != 0
        assert c.sh("git config core.fsmonitor ./x")["exit_code"] != 0
    assert not list((world.base / "ws/.git").glob("*.lock"))


# The profile `coding`


@pytest.fixture
def person(world):
    """Somebody with nvm, rustup, pipx and a few secrets."""
    for path, word in ((".nvm/versions/node/v1/bin/node", "node"), (".cargo/bin/cargo", "cargo"),
                       (".rustup/toolchains/stable/bin/rustc", "rustc"),
                       (".local/bin/tool", "tool"), ("odd/bin/odd", "odd")):
        world.make(f"home/{path}", f"#!/bin/sh\necho {word}\n", 0o755)
    world.make("home/.gitconfig", "[user]\n\tname = Some Body\n\temail = some@example.org\n")
    for path in (".ssh/id", ".cargo/credentials.toml", ".aws/credentials", ".bash_history"):
        world.make(f"home/{path}", "hidden\n")
    world.start()
    return ":".join([f"{world.home}/.nvm/versions/node/v1/bin", f"{world.home}/.cargo/bin",
                     f"{world.home}/.local/bin", f"{world.home}/odd/bin", "/usr/bin", "/bin"])


def test_an_agent_finds_its_tools_and_no_secret(world, person):
    with world.use("coding", path=person) as c:
        assert said(c, "node; cargo; tool; odd; ~/.rustup/toolchains/stable/bin/rustc") == \
            "node\ncargo\ntool\nodd\nrustc\n"
        assert said(c, "find ~ | grep -c -e ssh -e credentials -e aws -e history || true") == \
            "0\n"
        # Caches beside what is read-only.
        said(c, "mkdir -p ~/.cargo/registry ~/.cache/pip ~/.npm ~/go/pkg ~/.local/share/x && "
                "touch ~/.cargo/registry/x ~/.bash_history")
        assert c.sh("touch ~/.cargo/bin/x || touch ~/.nvm/x || touch ~/odd/bin/x")[
            "exit_code"] != 0
    assert not (world.home / ".cargo/registry").exists()


def test_an_agent_commits_as_the_person(world, person):
    with world.use("coding", path=person) as c:
        said(c, "git init -q . && echo a >a && git add a && git commit -qm one")
        assert said(c, "git log --format='%an <%ae>'") == "Some Body <some@example.org>\n"
        assert c.sh("touch .git/hooks/post-commit")["exit_code"] != 0
        assert c.sh("git config core.hooksPath h")["exit_code"] != 0
        said(c, "echo b >a; git commit -qam two; git clone -q . clone; cd clone; git log -1")


def test_doctor_tells_what_coding_hides(world, person):
    world.make("data/loose/wild", "#!/bin/sh\n", 0o755)
    (world.data / "loose").chmod(0o777)
    world.make("home/kept/kept", "#!/bin/sh\n", 0o755)
    (world.home / "link").symlink_to(world.home / "kept")
    path = f"{person}:{world.data}/loose:{world.home}/link"
    with world.use("coding", path=path) as c:
        hidden = c.call("daemon.doctor", {})["hidden_programs"]
        assert hidden == [f"{world.data}/loose/wild", f"{world.home}/link/kept"]
        for program in hidden:
            assert c.sh(program)["exit_code"] == 127
    with world.use("default", path=path) as c:
        hidden = c.call("daemon.doctor", {})["hidden_programs"]
        assert f"{world.home}/.cargo/bin/cargo" in hidden and len(hidden) == 6


# Worktrees


def git(world, where, *args):
    who = {} if world.user is None else {"user": world.user, "group": world.user,
                                         "extra_groups": []}
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@e", *args], cwd=where,
                   check=True, capture_output=True, env={"PATH": os.environ["PATH"],
                                                         "HOME": "/nonexistent"}, **who)


@pytest.fixture
def worktree(world):
    """The workspace is one of two worktrees of home/repo."""
    repo = world.make("home/repo/")
    git(world, repo, "init", "-q", ".")
    world.make("home/repo/a", "a\n")
    world.make("home/.gitconfig", "[user]\n\tname = Some Body\n\temail = some@example.org\n")
    git(world, repo, "add", "a")
    git(world, repo, "commit", "-qm", "one")
    git(world, repo, "worktree", "add", "-q", str(world.home / "other"))
    ws = world.make("ws/", mode=0o700)
    git(world, repo, "worktree", "add", "-q", str(ws))
    world.start()
    return repo / ".git"


def test_a_worktree_is_committed_to(world, worktree):
    with world.use("coding") as c:
        said(c, "echo b >a && git commit -qam two && git branch x && git status")
        assert said(c, "git log --format=%s") == "two\none\n"
        assert c.sh(f"ls {world.home}/repo/a {world.home}/other")["exit_code"] != 0
    git(world, worktree, "rev-parse", "ws~1")
    git(world, worktree, "fsck", "--strict")


def test_of_the_repository_of_a_worktree_nothing_is_changed_that_runs(world, worktree):
    own, others = worktree / "worktrees/ws", worktree / "worktrees/other"
    before = {p: p.read_bytes() for p in
              (worktree / "config", own / "commondir", own / "gitdir", others / "commondir",
               world.base / "ws/.git")}
    with world.use("coding") as c:
        for path in (f"{worktree}/hooks/post-commit", f"{others}/x", f"{others}/commondir",
                     f"{worktree}/worktrees/new"):
            assert c.sh(f"touch {path}; echo >{path}")["exit_code"] != 0, path
        for path in before:
            for change in CHANGES:
                assert c.sh(change.format(path))["exit_code"] != 0, (change, path)
                said(c, "rm -f new hard")
        for path in (own, own.parent, worktree / "hooks", worktree):
            assert c.sh(f"mv {path} {path}.old")["exit_code"] != 0, path
        said(c, f"echo x >{own}/ORIG_HEAD")
    for path, content in before.items():
        assert path.read_bytes() == content, path


def test_a_worktree_that_its_repository_does_not_name_gets_none(world, worktree):
    """Whatever a command writes into .git."""
    secret = world.make("home/secret/worktrees/ws/gitdir", "/elsewhere/.git\n").parent
    world.make("home/plain/gitdir", f"{world.base}/ws/.git\n")
    (world.home / "link").symlink_to(worktree.parent)
    named = world.base / "ws/.git"
    for to in (secret, world.home / "plain", world.home / "link/.git/worktrees/ws",
               f"{worktree}/worktrees/../worktrees/ws", "relative", "/", ""):
        named.write_text(f"gitdir: {to}\n")
        with world.use("coding") as c:
            for path in ("secret", "plain/gitdir", "repo/.git/config", "link/.git/config"):
                assert c.sh(f"cat ~/{path} || ls ~/{path}")["exit_code"] != 0, (to, path)


def test_a_profile_that_does_not_say_so_shows_no_repository(world, worktree):
    with world.use("default") as c:
        assert c.sh(f"ls {worktree}")["exit_code"] != 0
