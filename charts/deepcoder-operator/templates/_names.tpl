{{/* The name of what belongs to the release's namespace. */}}
{{- define "deepcoder.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* The name of what belongs to the cluster: two releases of one name in two namespaces must not share it. */}}
{{- define "deepcoder.clusterName" -}}
{{ include "deepcoder.name" . }}-{{ .Release.Namespace }}
{{- end }}

{{/* What selects the operator's pods. The network policies of runs let in pods of this app.kubernetes.io/name. */}}
{{- define "deepcoder.selector" -}}
app.kubernetes.io/name: deepcoder-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "deepcoder.labels" -}}
{{ include "deepcoder.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The image of a role: (list $ "trainer"). */}}
{{- define "deepcoder.image" -}}
{{- $root := index . 0 }}{{ $role := index . 1 -}}
{{ required (printf "images.%s is not set: no image is published, `make images` builds them all and writes their references to build/images.json; give each by --set-string images.<role>=<reference>" $role) (index $root.Values.images $role) }}
{{- end }}
