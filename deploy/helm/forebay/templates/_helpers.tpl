{{/* The name of everything that belongs to this release, before what it is. */}}
{{- define "forebay.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{/* What selects the pods of a role: (dict "root" $ "role" "gateway"). */}}
{{- define "forebay.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end }}

{{- define "forebay.metadata" -}}
name: {{ include "forebay.fullname" .root }}-{{ .role }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "forebay.selector" . | nindent 2 }}
  app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | quote }}
{{- end }}

{{/* The configuration of a role. Agents and sidecars have the same. */}}
{{- define "forebay.config" -}}
{{- $file := ternary "gateway" "agent" (eq .role "gateway") -}}
{{- (index .root.Values .role).config | default (.root.Files.Get (printf "config/%s.yaml" $file)) -}}
{{- end }}

{{- define "forebay.configMap" -}}
{{- (index .root.Values .role).existingConfigMap | default (printf "%s-%s" (include "forebay.fullname" .root) .role) -}}
{{- end }}

{{/* Pods start anew when their configuration changes. That of an existing ConfigMap is not known here. */}}
{{- define "forebay.annotations" -}}
{{- if not (index .root.Values .role).existingConfigMap -}}
annotations:
  checksum/config: {{ include "forebay.config" . | sha256sum }}
{{- end }}
{{- end }}

{{- define "forebay.volume" -}}
- name: forebay-config
  configMap:
    name: {{ include "forebay.configMap" . }}
{{- end }}

{{/* What all pods of this chart have, beside their container. */}}
{{- define "forebay.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .root.Values.terminationGracePeriodSeconds }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with (index .root.Values .role).nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with (index .root.Values .role).tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The container of a role: (dict "root" $ "role" "agent" "sockaccel" true). */}}
{{- define "forebay.container" -}}
name: forebay
image: "{{ required "image.repository: say where your cluster finds the image, which docker/Dockerfile makes" .root.Values.image.repository }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}"
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args:
  - --config=/etc/forebay/config.yaml
  {{- if .sockaccel }}
  - --config=/etc/forebay/sockaccel.yaml
  {{- end }}
env:
  - name: BACKEND
    value: {{ .root.Values.backend.endpoint | quote }}
  - name: BACKEND_INSECURE
    value: {{ .root.Values.backend.insecure | quote }}
  {{- if ne .role "gateway" }}
  - name: GATEWAYS
    value: {{ .root.Values.gateways | default (printf "%s-gateway.%s.svc" (include "forebay.fullname" .root) .root.Release.Namespace) }}
  {{- end }}
  {{- if eq .role "sidecar" }}
  - name: LISTEN
    value: localhost
  {{- end }}
  {{- if .sockaccel }}
  - name: CGROUP
    value: {{ clean (printf "/host/cgroup/%s" .root.Values.agent.sockaccel.cgroup) }}
  {{- end }}
ports:
  - {name: otlp-grpc, containerPort: 4317}
  - {name: otlp-http, containerPort: 4318}
  {{- if eq .role "gateway" }}
  - {name: evidence, containerPort: 4319}
  {{- end }}
  - {name: metrics, containerPort: 8888}
  - {name: health, containerPort: 13133}
startupProbe:
  httpGet: {path: /, port: health}
  periodSeconds: 1
  failureThreshold: 60
readinessProbe:
  httpGet: {path: /, port: health}
  periodSeconds: 5
livenessProbe:
  httpGet: {path: /, port: health}
  periodSeconds: 10
  timeoutSeconds: 5
lifecycle:
  preStop:
    sleep: {seconds: {{ .root.Values.preStopSeconds }}}
resources:
  {{- toYaml (index .root.Values .role).resources | nindent 2 }}
securityContext:
  {{- if .sockaccel }}
  # To load programs, to attach them to sockets, and to see how much a receiver has not read. Kubernetes gives added
  # capabilities to root alone.
  runAsUser: 0
  capabilities: {drop: [ALL], add: [BPF, NET_ADMIN, PERFMON]}
  {{- else }}
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  capabilities: {drop: [ALL]}
  {{- end }}
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  seccompProfile: {type: RuntimeDefault}
volumeMounts:
  - {name: forebay-config, mountPath: /etc/forebay, readOnly: true}
  {{- if .sockaccel }}
  - {name: cgroup, mountPath: /host/cgroup, readOnly: true}
  {{- end }}
{{- end }}

{{/*
What a chart that depends on this one puts into the pods of an application:

  initContainers:
    {{- include "forebay.sidecar" .Subcharts.forebay | nindent 8 }}
  volumes:
    {{- include "forebay.sidecar.volume" .Subcharts.forebay | nindent 8 }}
*/}}
{{- define "forebay.sidecar" -}}
{{- $role := dict "root" . "role" "sidecar" -}}
- restartPolicy: Always
  {{- include "forebay.container" $role | nindent 2 }}
{{- end }}

{{- define "forebay.sidecar.volume" -}}
{{ include "forebay.volume" (dict "root" . "role" "sidecar") }}
{{- end }}
