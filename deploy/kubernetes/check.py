"""Checks rendered manifests: by the schemas of the oldest and the newest Kubernetes, by what a careful operator
expects of every container, and the configurations in them by Forebay itself.

    check.py FOREBAY FILE...
"""

import os
import subprocess
import sys
import tempfile

import kubernetes_validate
import yaml
from cloudcoil.models.prometheus_operator import v1 as prometheus

VERSIONS = ["1.30", "1.37"]
# What deciding and delivering may take in all, unless a configuration says otherwise.
SHUTDOWN_GRACE = 20
SOCKACCEL = {"BPF", "NET_ADMIN", "PERFMON"}


def fits_schema(document):
    if document["kind"] == "ServiceMonitor":
        # The types ignore what they do not know, so what comes out again has to be what went in.
        read = prometheus.ServiceMonitor.model_validate(document)
        written = read.model_dump(by_alias=True, exclude_none=True, exclude_unset=True)
        assert written == document, f"not of a ServiceMonitor: {written} is left of {document}"
        return
    for version in VERSIONS:
        kubernetes_validate.validate(document, version, strict=True)


def is_confined(pod):
    containers = [c for c in pod.get("initContainers", []) + pod["containers"] if c["name"] == "forebay"]
    assert len(containers) == 1, "one container is Forebay"
    container = containers[0]
    security = container["securityContext"]
    assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]
    assert security["capabilities"]["drop"] == ["ALL"]
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    sockaccel = any("sockaccel" in argument for argument in container["args"])
    assert set(security["capabilities"].get("add", [])) == (SOCKACCEL if sockaccel else set())
    assert sockaccel or security["runAsNonRoot"]
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()
    assert container["resources"]["requests"].keys() == {"cpu", "memory"} and "memory" in container["resources"]["limits"]
    drained = container["lifecycle"]["preStop"]["sleep"]["seconds"] + SHUTDOWN_GRACE
    assert pod["terminationGracePeriodSeconds"] > drained, "it would be killed while it delivers"


def is_valid(forebay, configurations):
    with tempfile.TemporaryDirectory() as directory:
        paths = []
        # config.yaml comes first, and then what is laid over it.
        for name, text in sorted(configurations.items()):
            paths.append(os.path.join(directory, name))
            with open(paths[-1], "w", encoding="utf-8") as file:
                file.write(text)
        arguments = [f"--config={path}" for path in paths]
        subprocess.run([forebay, "validate", *arguments], check=True)


def main(forebay, files):
    documents = configurations = 0
    for path in files:
        with open(path, encoding="utf-8") as file:
            for document in filter(None, yaml.safe_load_all(file)):
                try:
                    fits_schema(document)
                    if pod := document.get("spec", {}).get("template", {}).get("spec"):
                        is_confined(pod)
                    if document["kind"] == "ConfigMap":
                        is_valid(forebay, document["data"])
                        configurations += 1
                except Exception as error:
                    name = document["metadata"]["name"]
                    sys.exit(f"{os.path.basename(path)}: {document['kind']} {name}: {error!r}")
                documents += 1
    print(f"{documents} manifests in {len(files)} files are valid, and {configurations} configurations in them")


main(sys.argv[1], sys.argv[2:])
