"""A real Postfix for tests and benchmarks: its own configuration and queue in a temporary folder, on a high port.

It needs root, because Postfix changes users itself. It is not the machine's mail system: nothing in /etc or /var is touched.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import time

from stage import Failed, can_connect, check, free_port, until

SERVICES = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
capture unix - n n - - pipe
  eol=\\r\\n user={user} argv={directory}/capture {directory}/captured
"""

SETTINGS = """\
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {directory}/log/postfix.log
maillog_file_prefixes = {directory}
myhostname = postfix.test.invalid
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
smtpd_relay_restrictions = permit_mynetworks, reject
message_size_limit = 104857600
mailbox_size_limit = 0
smtpd_client_connection_count_limit = 0
"""

CAPTURE = """\
#!/bin/sh
# Keeps a message as a file, whole before it has its name.
umask 022
file=$(mktemp "$1/part.XXXXXX") && cat >"$file" && mv "$file" "$1/$(basename "$file" | cut -c6-).eml"
"""


def is_possible():
    return os.geteuid() == 0 and shutil.which("postfix") is not None


class Postfix:
    def __init__(self, stage, relay_to=None):
        """Relays all mail to a port of this machine, or keeps every message as a file."""
        self.port = free_port()
        # Not in the stage's own folder, which only its owner may enter.
        self.directory = tempfile.mkdtemp(prefix="postfix-", dir="/tmp")
        os.chmod(self.directory, 0o755)
        stage.cleanups.append(self.remove)
        user = "nobody"
        for name, owner in (("queue", "root"), ("data", "postfix"), ("log", "root"), ("captured", user), ("etc", "root")):
            os.mkdir(f"{self.directory}/{name}")
            os.chown(f"{self.directory}/{name}", pwd.getpwnam(owner).pw_uid, 0)
        transport = f"relayhost = [127.0.0.1]:{relay_to}" if relay_to else "default_transport = capture"
        self.write("capture", CAPTURE, 0o755)
        self.write("etc/main.cf", SETTINGS.format(directory=self.directory) + transport + "\n")
        self.write("etc/master.cf", SERVICES.format(port=self.port, directory=self.directory, user=user))
        for name in ("dynamicmaps.cf", "postfix-files"):
            if os.path.exists(f"/etc/postfix/{name}"):
                shutil.copy(f"/etc/postfix/{name}", f"{self.directory}/etc/{name}")
        done = self.postfix("start")
        check(done.returncode == 0, f"postfix start: {done.stderr or done.stdout}")
        try:
            until(lambda: can_connect(self.port), "Postfix listens", 20)
        except Failed as failure:
            raise Failed(f"{failure}: {self.log()}") from None

    def write(self, name, text, mode=0o644):
        with open(f"{self.directory}/{name}", "w") as file:
            file.write(text)
        os.chmod(f"{self.directory}/{name}", mode)

    def postfix(self, word):
        return subprocess.run(["postfix", "-c", f"{self.directory}/etc", word], capture_output=True, text=True)

    def captured(self):
        """The messages that arrived, as bytes."""
        directory = f"{self.directory}/captured"
        names = sorted(name for name in os.listdir(directory) if name.endswith(".eml"))
        messages = []
        for name in names:
            with open(f"{directory}/{name}", "rb") as file:
                messages.append(file.read())
        return messages

    def log(self):
        path = f"{self.directory}/log/postfix.log"
        if not os.path.exists(path):
            return ""
        with open(path, errors="replace") as file:
            return file.read()[-2000:]

    def remove(self):
        self.postfix("abort")
        # Its master ends its children; their folder goes once they are gone.
        end = time.monotonic() + 5
        while can_connect(self.port) and time.monotonic() < end:
            time.sleep(0.05)
        shutil.rmtree(self.directory, ignore_errors=True)
