# kubectl's plugin as krew installs it: an archive for each processor, the same bytes twice, and the
# manifest that names them.

KREW := $(TARGET)/krew
PACKED := --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u+rwX,go+rX,go-w

.PHONY: krew
krew: static ## pack kubectl's plugin and krew's manifest into target/krew (RELEASES=https://… is where the archives will be)
	@case "$(RELEASES)" in https://*) ;; *) echo "RELEASES='$(RELEASES)': where the archives will be; accepted: https://…" >&2; exit 2;; esac
	@rm -rf $(KREW) && mkdir -p $(KREW)/packed
	sed 's/@VERSION@/v$(IMAGE_VERSION)/' tools/krew.yaml.in >$(KREW)/sluice.yaml
	for pair in $(BINARIES); do \
	  processor=$${pair%%=*} archive=kubectl-sluice-$(IMAGE_VERSION)-linux-$${pair%%=*}.tar.gz; \
	  cp $${pair#*=} $(KREW)/packed/kubectl-sluice && cp LICENSE $(KREW)/packed/; \
	  tar -C $(KREW)/packed $(PACKED) -c kubectl-sluice LICENSE | gzip -n9 >$(KREW)/$$archive; \
	  printf '  - selector: {matchLabels: {os: linux, arch: %s}}\n    uri: %s/%s\n    sha256: %s\n    bin: kubectl-sluice\n' \
	    $$processor "$(RELEASES)" $$archive "$$(sha256sum $(KREW)/$$archive | cut -d' ' -f1)" >>$(KREW)/sluice.yaml; \
	done
	@rm -r $(KREW)/packed
	@echo "$(KREW)/sluice.yaml: kubectl krew install --manifest=sluice.yaml --archive=ARCHIVE tries it"
