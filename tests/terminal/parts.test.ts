/** The parts of the terminal client that need neither a terminal nor a server. */
import { describe, expect, test } from "bun:test";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { OutgoingMessage } from "../../src/client/mod.ts";
import { type ConversationId, newMessageId } from "../../src/protocol/mod.ts";
import { readArguments, UsageError } from "../../src/terminal/arguments.ts";
import { cleanName, cleanText } from "../../src/terminal/clean_text.ts";
import { messageOf, readCommand } from "../../src/terminal/commands.ts";
import { readEnvironment } from "../../src/terminal/environment.ts";
import { FileStore } from "../../src/terminal/file_store.ts";
import { type Key, Keyboard } from "../../src/terminal/keyboard.ts";
import { LineEditor } from "../../src/terminal/line_editor.ts";
import { Profile, ProfileInUseError } from "../../src/terminal/profile.ts";
import { column, fit, widthOf, wrap } from "../../src/terminal/text_layout.ts";
import { describeStore } from "../client/store_contract.ts";
import { homeFolder } from "./terminal_program.ts";

const C = "00000000-0000-7000-8000-00000000000c" as ConversationId;

describe("cleanText()", () => {
  test("leaves no control, no direction and no invisible character, and every ordinary one", () => {
    const every = Array.from({ length: 0x2_ffff }, (_, code) => (code === 10 ? "" : String.fromCodePoint(code)));
    const clean = cleanText(every.join(""));
    expect(clean).not.toMatch(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u);
    for (const text of ["Grüße, 世界", "مرحبا", "👩‍👩‍👧 e\u0301", "a\nb"]) expect(cleanText(text)).toBe(text);
    expect(cleanText("a\tb\r\nc\x1b[1m")).toBe("a    b\nc�[1m");
  });

  test("a name is one line of at most fifty characters, and never empty", () => {
    expect(cleanName("a\nb\u202e")).toBe("a b");
    expect([...cleanName("x".repeat(500))]).toHaveLength(50);
    expect(cleanName("\u202e\u200b")).toBe("(no name)");
  });
});

describe("wrap()", () => {
  test("keeps every line within the width, and every visible character", () => {
    const texts = [
      "a bb ccc dddd eeeee",
      "世界世界世界 wide",
      `${"x".repeat(50)} y`,
      "👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧 family",
      "a\n\n  b",
      "",
    ];
    for (const text of texts) {
      for (const width of [4, 7, 20, 80]) {
        const lines = wrap(text, width);
        expect(lines.every((line) => widthOf(line) <= width)).toBe(true);
        expect(lines.join("").replaceAll(/\s/g, "")).toBe(text.replaceAll(/\s/g, ""));
      }
    }
    expect(wrap("one two three", 9)).toEqual(["one two", "three"]);
    expect(wrap("one two", 9, 4)).toEqual(["one", "two"]);
  });

  test("fit() and column() count cells and not characters", () => {
    expect([fit("世界世界", 5), widthOf(column("世界", 6)), column("abcdef", 4), fit("a", 0)]).toEqual([
      "世界…",
      6,
      "abc…",
      "",
    ]);
  });
});

describe("Keyboard", () => {
  const bytes = new TextEncoder().encode("hé\x1b[D\x7f\r\x1b[200~two\r\nlines\x1b[201~\x1b[5~\x1b[1;5Cx\x03\x1bOH👍");
  const keys: readonly Key[] = [
    { kind: "text", text: "hé" },
    { kind: "left" },
    { kind: "backspace" },
    { kind: "enter" },
    { kind: "text", text: "two\nlines" },
    { kind: "page_up" },
    { kind: "text", text: "x" },
    { kind: "interrupt" },
    { kind: "home" },
    { kind: "text", text: "👍" },
  ];

  test("reads the same keys however the bytes are cut; a pasted line end is no Enter", () => {
    expect(new Keyboard().read(bytes)).toEqual(keys.slice());
    for (let cut = 1; cut < bytes.length; cut++) {
      const keyboard = new Keyboard();
      const read = [...keyboard.read(bytes.subarray(0, cut)), ...keyboard.read(bytes.subarray(cut))];
      const joined = read.flatMap((key) => (key.kind === "text" ? Array.from(key.text) : [key.kind]));
      expect(joined).toEqual(keys.flatMap((key) => (key.kind === "text" ? Array.from(key.text) : [key.kind])));
    }
  });
});

describe("LineEditor", () => {
  const type = (editor: LineEditor, ...typed: (string | Exclude<Key["kind"], "text">)[]) => {
    for (const key of typed)
      editor.press(
        /^(left|right|home|end|backspace|delete|erase_\w+)$/.test(key)
          ? ({ kind: key } as Key)
          : { kind: "text", text: key },
      );
    return editor;
  };

  test("edits by what a reader takes for a character", () => {
    expect(type(new LineEditor(), "ab👩‍👩‍👧", "backspace", "c").text).toBe("abc");
    expect(type(new LineEditor(), "e", "\u0301x", "left", "backspace").text).toBe("x");
    expect(type(new LineEditor(), "one two", "home", "right", "delete", "end", "!").text).toBe("oe two!");
    expect(type(new LineEditor(), "one two ", "erase_word").text).toBe("one ");
    expect(type(new LineEditor(), "\x1b[2Jx").text).toBe("�[2Jx");
  });

  test("shows the part around the cursor, and dots for a secret", () => {
    const editor = type(new LineEditor(), "abcdefghij");
    expect(editor.visible(5)).toEqual({ before: "ghij", under: " ", after: "" });
    type(editor, "home");
    expect(editor.visible(5)).toEqual({ before: "", under: "a", after: "bcde" });
    expect(editor.visible(4, true)).toEqual({ before: "", under: "•", after: "•••" });
  });
});

describe("commands and arguments", () => {
  test("a slash begins a command, and two begin a message", () => {
    expect(readCommand('/Group "The ferry" bob')).toEqual({ name: "group", words: ["The ferry", "bob"] });
    expect([readCommand("hello /q"), readCommand("//q"), messageOf("//q"), messageOf("a // b")]).toEqual([
      null,
      null,
      "/q",
      "a // b",
    ]);
  });

  test("reads what it is given, and refuses what it does not know", () => {
    expect(readArguments(["--server", "chat.example:8000/", "--user", "ada"])).toEqual({
      help: false,
      room: false,
      server: "http://chat.example:8000",
      user: "ada",
      profile: "default",
    });
    for (const wrong of [["--nope"], ["word"], ["--profile", "../x"], ["--server", "ftp://x"], ["--server"]]) {
      expect(() => readArguments(wrong)).toThrow(UsageError);
    }
  });

  test("the environment tells where settings are, and whether colours are wanted", () => {
    expect(readEnvironment({ XDG_CONFIG_HOME: "/x", TERM: "xterm" })).toEqual({ configFolder: "/x", colours: true });
    expect(readEnvironment({ XDG_CONFIG_HOME: "relative", NO_COLOR: "1" })).toMatchObject({ colours: false });
    expect(readEnvironment({ TERM: "dumb" }).colours).toBe(false);
  });
});

describe("Profile", () => {
  test("is one program's at a time, and anybody's again after a crash", async () => {
    await using home = await homeFolder();
    using first = await Profile.open(home.path, "default");
    await expect(Profile.open(home.path, "default")).rejects.toThrow(ProfileInUseError);
    using _other = await Profile.open(home.path, "other");
    first[Symbol.dispose]();
    using second = await Profile.open(home.path, "default");
    first[Symbol.dispose](); // the lock is the second one's now
    await expect(Profile.open(home.path, "default")).rejects.toThrow(ProfileInUseError);
    second[Symbol.dispose]();
    const ended = Bun.spawn(["true"]);
    await ended.exited;
    await writeFile(join(home.path, "sotto/default.lock"), String(ended.pid)); // whoever held it is gone
    using again = await Profile.open(home.path, "default");
    expect(again.content).toBeNull();
  });
});

describeStore("FileStore", async () => {
  const home = await homeFolder();
  return FileStore.open(join(home.path, "state.json"));
});

describe("FileStore", () => {
  const message = (id: Parameters<FileStore["dropDraft"]>[0]): OutgoingMessage => ({
    id,
    conversationId: C,
    frame: "{}",
    order: 1,
    idBound: true,
  });

  test("holds after a restart what was committed, and a draft until its message is settled", async () => {
    await using home = await homeFolder();
    const path = join(home.path, "state.json");
    const store = await FileStore.open(path);
    const [first, second] = [newMessageId(), newMessageId()];
    const draft = { conversationId: C, text: "typed", handedOver: false };
    await Promise.all([store.keepDraft({ ...draft, id: first }), store.keepDraft({ ...draft, id: second })]);
    await store.commit({ outgoing: [message(first)], cursors: [[C, 7]] });
    const again = await FileStore.open(path);
    expect(again.drafts.map(({ id, handedOver }) => [id, handedOver])).toEqual([
      [first, true],
      [second, false],
    ]);
    expect([...(await again.load()).cursors]).toEqual([[C, 7]]);
    await again.commit({ settled: [first] });
    await again.dropDraft(second);
    const last = await FileStore.open(path);
    expect([last.drafts, (await last.load()).outgoing]).toEqual([[], []]);
  });

  test("shows a draft only once it would survive a crash: killed before, what was shown as waiting was lost", async () => {
    await using home = await homeFolder();
    const store = await FileStore.open(join(home.path, "state.json"));
    const draft = { id: newMessageId(), conversationId: C, text: "typed", handedOver: false };
    const kept = store.keepDraft(draft);
    expect(store.drafts).toEqual([]);
    await kept;
    expect(store.drafts).toEqual([draft]);
    expect((await FileStore.open(join(home.path, "state.json"))).drafts).toEqual([draft]);
  });

  test("forgets entries that were shown, and says so when it cannot write", async () => {
    const home = await homeFolder();
    const store = await FileStore.open(join(home.path, "state.json"));
    await store.commit({ entries: [{ type: "truncated", conversation_id: C, truncated_before: 3 }] });
    const [item] = await store.entries(0, 10);
    await store.commit({ handled: item?.place ?? 0 });
    expect(await store.entries(0, 10)).toEqual([]);
    await rm(home.path, { recursive: true });
    await expect(store.commit({ cursors: [[C, 1]] })).rejects.toThrow("ENOENT");
  });
});
