#!/usr/bin/env bash
# Writes the files of wasmplugin/controller and wasmplugin/base that come from the chart into a folder:
# what Helm makes of its templates with the defaults, and with the examples that are here. Whoever takes
# namespaced.yaml runs one controller, whose account is account.yaml's.
set -euo pipefail
helm=$1 chart=$2 folder=$3
mkdir -p "$folder/controller" "$folder/base"

# from TEMPLATE FILE VALUES...: one file.
from() {
  local template=$1 file=$folder/$2
  shift 2
  {
    echo "# From wasmplugin/chart/templates/$template by \`make chart\`; do not edit."
    "$helm" template sluice "$chart" --namespace sluice --show-only "templates/$template" "$@" |
      grep -v -e '^# Source: ' -e '^$' | sed -e '1{/^---$/d}' -e 's/sluice-controller-shop/sluice-controller/'
  } >"$file"
}

from account.yaml controller/account.yaml
from rights.yaml controller/cluster.yaml
from rights.yaml controller/namespaced.yaml --set 'namespaces={shop}'
from deployment.yaml controller/deployment.yaml
from brake.yaml controller/brake.yaml
from budget.yaml controller/budget.yaml
from secrets.yaml controller/secrets.yaml --set 'secrets[0].namespace=shop,secrets[0].names={prom,slack}'
from workloads.yaml controller/workloads.yaml \
  --set 'workloads[0].namespace=shop,workloads[0].deployments={web},workloads[0].services={web-active,web-preview}'
from people.yaml base/rbac.yaml --set 'people[0].namespace=shop,people[0].groups={sluice-weights}'
