# Whether the pipelines of the example 13-ci are what GitLab and GitHub take, by the schemas that these publish.

CHECK_PIPELINES := $(TOOLS)/check-pipelines

$(CHECK_PIPELINES)/bin/check-jsonschema: tools/check-pipelines/requirements.txt
	@rm -rf $(CHECK_PIPELINES)
	python3 -m pip install -q --no-cache-dir --disable-pip-version-check --root-user-action ignore --only-binary=:all: \
	  --require-hashes --no-deps --target $(CHECK_PIPELINES) -r tools/check-pipelines/requirements.txt
	@touch $@

PIPELINES := wasmplugin/examples/13-ci
CHECK_PIPELINE = PYTHONPATH=$(CHECK_PIPELINES) python3 -m check_jsonschema --quiet --builtin-schema

.PHONY: check-pipelines
check-pipelines: $(CHECK_PIPELINES)/bin/check-jsonschema ## the examples' pipelines fit the schemas of GitLab and GitHub
	$(CHECK_PIPELINE) vendor.gitlab-ci $(PIPELINES)/.gitlab-ci.yml
	$(CHECK_PIPELINE) vendor.github-workflows $(PIPELINES)/.github/workflows/*.yaml
