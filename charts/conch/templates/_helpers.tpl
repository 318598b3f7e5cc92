{{- define "conch.name" -}}
{{- default .Chart.Name .Values.nameOverride }}
{{- end }}

{{/* At most 53 characters, as Helm's release names, so that "-view" still fits a label. */}}
{{- define "conch.fullname" -}}
{{- $name := include "conch.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "conch.serviceAccountName" -}}
{{- $created := ternary (include "conch.fullname" .) "default" .Values.serviceAccount.create }}
{{- default $created .Values.serviceAccount.name }}
{{- end }}

{{/* What never changes in a release: a Deployment's selector is immutable. */}}
{{- define "conch.selectorLabels" -}}
app.kubernetes.io/name: {{ include "conch.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "conch.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "conch.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: conch
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "conch.image" -}}
{{- with .Values.image.registry }}{{ . }}/{{ end }}
{{- .Values.image.repository }}
{{- if or .Values.image.tag (not .Values.image.digest) }}:{{ default .Chart.AppVersion .Values.image.tag }}{{ end }}
{{- with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}
