"""Kafka's jars for the practice deployment and tests: fetched once by Maven into the user's cache folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from mongo_dr_console.model.trouble import Failed, WrongUse
from mongo_dr_console.sandbox.cached import cached

VERSION = "4.2.0"
OLDEST_JAVA = 17

_SECONDS = 900
_HINT = (
    "Install Java 17 or newer and Maven; on Debian and Ubuntu: apt-get install openjdk-17-jre-headless maven"
)
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>mongo-dr-console</groupId>
  <artifactId>practice-broker</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{version}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>2.25.3</version>
    </dependency>
  </dependencies>
</project>
"""


def find_java() -> Path:
    """The java of ``JAVA_HOME``, else of PATH.

    Raises:
        Failed: ``java-missing``: none, or one that is too old.
    """
    home = os.environ.get("JAVA_HOME", "")
    beside = Path(home, "bin", "java")
    found = str(beside) if home and beside.is_file() else shutil.which("java")
    if found is None:
        raise Failed("java-missing", "Kafka needs Java, and there is none on this machine.", _HINT)
    try:
        said = subprocess.run([found, "-version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        raise Failed("java-missing", f"The Java that was found does not run: {found}.", _HINT) from None
    version = re.search(r'version "(\d+)', said.stderr + said.stdout)
    if version is None or int(version[1]) < OLDEST_JAVA:
        raise Failed(
            "java-missing", f"Kafka {VERSION} needs Java {OLDEST_JAVA}; {found} is older or another.", _HINT
        )
    return Path(found)


def find_jars() -> Path:
    """The folder with Kafka's jars: ``MDR_KAFKA_JARS``, else the one in the cache, fetched first where it is
    not there.

    Raises:
        WrongUse: ``MDR_KAFKA_JARS`` names a folder without them.
        Failed: ``maven-missing``, ``kafka-not-fetched``.
    """
    named = os.environ.get("MDR_KAFKA_JARS", "")
    if named:
        folder = Path(named).expanduser().absolute()
        if not any(folder.glob("kafka_*.jar")):
            raise WrongUse("kafka-jars", f"MDR_KAFKA_JARS names {folder}, and Kafka's jars are not there.")
        return folder
    return cached(f"kafka-{VERSION}", _fetch)


def _fetch(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise Failed("maven-missing", "Kafka is fetched by Maven (mvn), and there is none here.", _HINT)
    with tempfile.TemporaryDirectory(prefix="kafka-", dir=folder.parent) as temporary:
        pom, jars = Path(temporary, "pom.xml"), Path(temporary, "jars")
        pom.write_text(_POM.format(version=VERSION), encoding="utf-8")
        command = [maven, "-q", "-B", "-f", str(pom), _PLUGIN, f"-DoutputDirectory={jars}"]
        try:
            done = subprocess.run(
                [*command, "-DincludeScope=runtime"],
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
                stdin=subprocess.DEVNULL,
                env={"MAVEN_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC", **os.environ},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Failed("kafka-not-fetched", f"Maven did not fetch Kafka: {type(error).__name__}.") from None
        if done.returncode or not any(jars.glob("kafka_*.jar")):
            lines = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
            why = lines[0].partition("ERROR]")[2].strip() if lines else f"exit code {done.returncode}"
            raise Failed("kafka-not-fetched", f"Maven did not fetch Kafka: {why[:300]}")
        jars.rename(folder)
