{{/* Values that the schema cannot refuse in plain words. Nothing that is set is ignored. */}}
{{- define "conch.refusals" -}}
{{- range $label, $_ := include "conch.selectorLabels" . | fromYaml }}
{{- if hasKey $.Values.podLabels $label }}
{{- fail (printf "podLabels: %s selects the operator's pod and is set by the chart; choose another label" $label) }}
{{- end }}
{{- end }}
{{- range .Values.extraEnv }}
{{- if eq .name "POD_NAME" }}
{{- fail "extraEnv: POD_NAME is set by the chart; remove it" }}
{{- end }}
{{- end }}
{{- if and .Values.serviceAccount.annotations (not .Values.serviceAccount.create) }}
{{- fail "serviceAccount.annotations: the account is not created here (serviceAccount.create is false); annotate your own" }}
{{- end }}
{{- end }}
