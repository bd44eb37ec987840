"""JupyterHub for a class: one password for all, course and cohort read-only, a memory limit for each student.

See README.md in this folder. Settings come from the environment:

MEDSR_COURSE     folder of the course, with its .venv (default /srv/medsr/course)
MEDSR_SHARED     folder with the cohort, as `medsr data unbundle` fills it (default /srv/medsr/shared)
MEDSR_PASSWORD   what students type, at least 8 characters
MEDSR_TEACHER    what the user "teacher" types, at least 32 characters; without it nobody is admin
MEDSR_MEMORY     limit for each student (default 3G)
MEDSR_SPAWNER    "systemd" (default), or "simple": no limits and no separation, for a container or a trial
"""

import os
from pathlib import Path

c = get_config()  # noqa: F821 (JupyterHub gives it)

COURSE = Path(os.environ.get("MEDSR_COURSE", "/srv/medsr/course"))
SHARED = Path(os.environ.get("MEDSR_SHARED", "/srv/medsr/shared"))
HERE = Path(__file__).resolve().parent

# Who may come in: whoever knows the password, under any name. Enough for a classroom, and for nothing else: students
# can log in as one another. JupyterHub 5.3 or newer.
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = os.environ["MEDSR_PASSWORD"]
c.Authenticator.allow_all = True
if os.environ.get("MEDSR_TEACHER"):
    c.SharedPasswordAuthenticator.admin_password = os.environ["MEDSR_TEACHER"]
    c.Authenticator.admin_users = {"teacher"}

# What each student runs: JupyterLab of the hub's environment, kernels of the course's.
c.Spawner.cmd = [str(HERE / "start-student")]
c.Spawner.args = ["--ServerApp.terminals_enabled=False", "--LabApp.extension_manager=readonly"]
c.Spawner.default_url = "/lab/tree/notebooks/00_start_here.ipynb"
c.Spawner.http_timeout = 120
c.Spawner.start_timeout = 300  # thirty at once on a small machine
c.Spawner.environment = {
    "JUPYTER_PATH": str(COURSE / ".venv" / "share" / "jupyter"),
    "MEDSR_COURSE": str(COURSE),
    "MEDSR_SHARED": str(SHARED),
    "MEDSR_HUB_BIN": str(Path(os.environ.get("MEDSR_HUB_BIN", "/srv/medsr/hub/bin"))),
    # One thread each: thirty kernels share few cores.
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"), "1"),
}
c.JupyterHub.concurrent_spawn_limit = 0  # a class comes all at once, and waits rather than try again

if os.environ.get("MEDSR_SPAWNER", "systemd") == "systemd":
    c.JupyterHub.spawner_class = "systemd"  # jupyterhub-systemdspawner
    c.SystemdSpawner.dynamic_users = True  # an account that exists while the server runs; its home stays
    c.SystemdSpawner.mem_limit = os.environ.get("MEDSR_MEMORY", "3G")
    c.SystemdSpawner.readonly_paths = [str(COURSE), str(SHARED)]
    c.SystemdSpawner.isolate_tmp = True
    c.SystemdSpawner.disable_user_sudo = True
else:
    c.JupyterHub.spawner_class = "simple"
    if os.geteuid() == 0:
        c.Spawner.args += ["--allow-root"]  # everything in a container is root's
    c.SimpleLocalProcessSpawner.home_dir_template = os.environ.get("MEDSR_HOMES", "/srv/medsr/homes") + "/{username}"
