"""`python -m golden`: writes the golden files anew and removes those without an example."""

from golden.cases import committed, rendered


def main() -> None:
    wanted = rendered()
    for stale in committed().keys() - wanted.keys():
        stale.unlink()
        print(f"removed {stale.name}")
    for file, text in wanted.items():
        if not file.exists() or file.read_text() != text:
            file.write_text(text)
            print(f"wrote {file.name}")


if __name__ == "__main__":
    main()
