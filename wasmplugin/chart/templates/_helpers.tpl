{{/* What everything of this chart is found by. The same in every version: a Deployment's selector cannot be changed. */}}
{{- define "sluice.labels" -}}
{app: sluice-controller, app.kubernetes.io/name: sluice, app.kubernetes.io/component: controller}
{{- end }}

{{/*
The name of the controller of one namespace, and of its account; of the one for all, where it is empty. At most 63 letters,
and never that of another Service of this chart.
*/}}
{{- define "sluice.name" -}}
{{- if not . -}}
sluice-controller
{{- else if and (le (len .) 40) (not (has . (list "metrics" "pull"))) -}}
sluice-controller-{{ . }}
{{- else -}}
sluice-controller-{{ . | trunc 33 | trimSuffix "-" }}-{{ . | sha256sum | trunc 6 }}
{{- end -}}
{{- end }}

{{/* What selects the pods of one controller. */}}
{{- define "sluice.selector" -}}
{{- if . -}}
{app: sluice-controller, sluice.dev/controller-of: {{ . | quote }}}
{{- else -}}
{app: sluice-controller}
{{- end -}}
{{- end }}

{{/* The image: by its digest where there is one. */}}
{{- define "sluice.image" -}}
{{- with .Values.image -}}
{{- .repository -}}
{{- if .digest -}}@{{ .digest }}{{- else -}}:{{ .tag | default $.Chart.AppVersion }}{{- end -}}
{{- end -}}
{{- end }}

{{/* A document of several, each with the annotation by which an uninstall leaves it where it is. */}}
{{- define "sluice.kept" -}}
{{- regexReplaceAll "(?m)^metadata:$" . "metadata:\n  annotations:\n    helm.sh/resource-policy: keep" }}
{{- end }}

{{/* The port of a URL. */}}
{{- define "sluice.port" -}}
{{- $url := urlParse . -}}
{{- $port := regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) -}}
{{- $port | default (eq $url.scheme "https" | ternary "443" "80") -}}
{{- end }}

{{/* The account of the controller of one namespace of those that are listed; where none is, of the only one. */}}
{{- define "sluice.subject" -}}
{{- $name := include "sluice.name" (empty .root.Values.namespaces | ternary "" .namespace) -}}
- {kind: ServiceAccount, name: {{ $name }}, namespace: {{ .root.Release.Namespace | toYaml }}}
{{- end }}

{{/* What a controller may do in the namespaces that it is for. The comments say why. */}}
{{- define "sluice.rules" -}}
- apiGroups: [sluice.dev]
  resources: [rollouts]
  verbs: [get, list, watch]
- apiGroups: [sluice.dev]
  resources: [rollouts/status]
  verbs: [update]
- apiGroups: [sluice.dev]
  resources: [brakes] # a Rollout that goes back gives one; of plugins that it may patch: the policy sluice-brakes
  verbs: [get, list, watch, create, delete]
- apiGroups: [sluice.dev]
  resources: [brakes/status]
  verbs: [patch]
- apiGroups: [extensions.istio.io]
  resources: [wasmplugins, trafficextensions]
  verbs: [get, list, watch, patch]
- apiGroups: [apps] # the history
  resources: [controllerrevisions]
  verbs: [get, list, create, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
- apiGroups: [""] # which proxies a plugin selects
  resources: [pods]
  verbs: [get, list]
{{- if .Values.native.enabled }}
- apiGroups: [networking.istio.io] # those of native plugins alone: the policy sluice-native
  resources: [envoyfilters]
  verbs: [get, list, create, patch, delete]
{{- end }}
{{- end }}

{{/* Which of several replicas leads. */}}
{{- define "sluice.leaderRules" -}}
- apiGroups: [coordination.k8s.io] # which replica leads
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [sluice-controller]
  verbs: [get, update]
{{- end }}
