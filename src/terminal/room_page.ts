/** The public room on the screen: one conversation of everybody, and what one says in it. */
import { type ConnectionStatus, type RoomClient, type RoomEvent, type RoomMessage, SottoError } from "../client/mod.ts";
import { newMessageId } from "../protocol/mod.ts";
import { connectionText, noticeLines } from "./chat_view.ts";
import { cleanName, cleanText } from "./clean_text.ts";
import { isQuit, messageOf, readCommand } from "./commands.ts";
import { headOf, layOut, partOf, remark, textLines } from "./entry_lines.ts";
import { explain } from "./explain.ts";
import { type Draft, type FileStore, ROOM_DRAFTS } from "./file_store.ts";
import type { Frame, Page, Size } from "./frame.ts";
import type { Key } from "./keyboard.ts";
import { LineEditor } from "./line_editor.ts";
import { Scroll } from "./scroll.ts";
import { column, type Line, line, type Tone, widthOfLine } from "./text_layout.ts";

/** What the page needs. */
export interface RoomPageOptions {
  readonly username: string;
  /** Keeps what was said and the room does not show yet. */
  readonly store: FileStore;
  readonly redraw: () => void;
  readonly enter: (callbacks: {
    onEvent: (event: RoomEvent) => void;
    onStatus: (status: ConnectionStatus) => void;
  }) => RoomClient;
}

interface Item {
  readonly at: number;
  readonly lines: (width: number) => Line[];
}

const HELP = [
  "/history           older messages; Page Up and Page Down move too",
  "/help              this text",
  "/quit, /exit, /q   end, as Ctrl-C does; what waits is said next time",
  "Anything else is said to everybody; // begins it with a slash.",
];
const ENCRYPTION = "public: everybody and the server can read this";
const PROMPT = "> ";
const TICK_MS = 1_000;
const MOST = 2_000;

/** See the head of this file. */
export class RoomPage implements Page, AsyncDisposable {
  /** Resolves when the person wants to end. */
  readonly ended: Promise<void>;
  readonly #options: RoomPageOptions;
  readonly #client: RoomClient;
  readonly #end = Promise.withResolvers<void>();
  readonly #editor = new LineEditor();
  readonly #scroll = new Scroll();
  readonly #ticker: ReturnType<typeof setInterval>;
  #items: Item[] = [];
  #failed: { readonly text: string; readonly why: string }[] = [];
  #notice: readonly string[] = [];

  constructor(options: RoomPageOptions) {
    this.#options = options;
    this.ended = this.#end.promise;
    this.#client = options.enter({
      onEvent: (event) => this.#happened(event),
      onStatus: () => options.redraw(),
    });
    this.#ticker = setInterval(options.redraw, TICK_MS);
    for (const draft of this.#drafts) void this.#say(draft);
    this.#client.connect();
  }

  /** How many messages the room does not show yet. */
  get waiting(): number {
    return this.#drafts.length;
  }

  render({ columns: width, rows }: Size): Frame {
    const below = noticeLines(this.#notice, width).slice(0, rows - 2);
    const part = { scroll: this.#scroll.lines, rows: rows - below.length };
    const laidOut = layOut(this.#items, (item) => item.lines(width), {
      above: [],
      below: this.#unsaid(width),
      count: part.scroll + part.rows,
      width,
    });
    const { lines, mostScroll } = partOf(laidOut, part);
    this.#scroll.drawn(rows, mostScroll);
    return {
      title: line(column(`The public room · ${this.#options.username}`, width), "strong"),
      body: [...lines, ...below],
      status: this.#status(width),
      prompt: { label: PROMPT, typed: this.#editor.visible(width - PROMPT.length - 1) },
    };
  }

  press(key: Key): void {
    if (key.kind === "interrupt" || (key.kind === "end_of_input" && this.#editor.text === "")) this.#end.resolve();
    else if (key.kind === "enter") this.#enter();
    else if (key.kind === "page_up") void this.#older();
    else if (key.kind === "page_down") this.#scroll.by(-1);
    else this.#editor.press(key);
  }

  /** Leaves the room. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#ticker);
    await this.#client[Symbol.asyncDispose]();
  }

  get #drafts(): readonly Draft[] {
    return this.#options.store.drafts.filter(({ conversationId }) => conversationId === ROOM_DRAFTS);
  }

  #enter(): void {
    const { text } = this.#editor;
    this.#editor.text = "";
    this.#notice = [];
    this.#scroll.toEnd();
    const command = readCommand(text);
    if (command === null) {
      if (text.trim() !== "") void this.#keep(messageOf(text));
    } else if (isQuit(command.name)) this.#end.resolve();
    else if (command.name === "history") void this.#older();
    else
      this.#notice = command.name === "help" ? HELP : [cleanText(`There is no command /${command.name} here: /help`)];
  }

  async #keep(text: string): Promise<void> {
    const draft: Draft = { id: newMessageId(), conversationId: ROOM_DRAFTS, text, handedOver: false };
    // In the order in which it was typed: the client has it at once. It is shown once the file has it.
    const kept = this.#options.store.keepDraft(draft);
    void this.#say(draft, kept);
    await kept.catch((error: unknown) => this.#tell(error));
    this.#options.redraw();
  }

  async #say(draft: Draft, kept: Promise<void> = Promise.resolve()): Promise<void> {
    try {
      await Promise.all([this.#client.say(draft.text, draft.id), kept]);
    } catch (error) {
      const code = error instanceof SottoError ? error.code : "";
      if (code === "closed" || code === "stopped") return; // the next start says it
      this.#failed.push({ text: draft.text, why: explain(error) });
    }
    await this.#options.store.dropDraft(draft.id).catch((error: unknown) => this.#tell(error));
    this.#options.redraw();
  }

  #happened(event: RoomEvent): void {
    this.#items.push(this.#itemOf(event));
    if (this.#items.length > MOST) this.#items = this.#items.slice(-MOST / 2);
    this.#options.redraw();
  }

  #itemOf(event: RoomEvent): Item {
    const at = Date.parse(event.timestamp);
    const name = cleanName(event.username);
    if (event.type === "message") return this.#messageItem(event);
    return { at, lines: (width) => remark(`${name} ${event.type === "join" ? "came" : "left"}`, width, "dim") };
  }

  #messageItem(message: RoomMessage): Item {
    const at = Date.parse(message.timestamp);
    const name = cleanName(message.username);
    const head = headOf(name, { at, isOwn: name === this.#options.username });
    return { at, lines: (width) => textLines(head, { text: message.content, width }) };
  }

  #unsaid(width: number): Line[] {
    const own = (text: string, tail: { readonly text: string; readonly tone: Tone }) =>
      textLines(headOf(this.#options.username, { at: null, isOwn: true }), { text, width, tail });
    return [
      ...this.#drafts.flatMap(({ text }) => own(text, { text: "waiting", tone: "dim" })),
      ...this.#failed.flatMap(({ text, why }) => own(text, { text: `not said: ${why}`, tone: "warn" })),
    ];
  }

  #status(width: number): Line {
    const { status } = this.#client;
    const right = this.waiting === 0 ? line("/help", "dim") : line(`${this.waiting} waiting`, "warn");
    const left = `${connectionText(status, Date.now())} · ${ENCRYPTION}`;
    const tone = status.state === "live" || status.state === "catching_up" ? "dim" : "warn";
    return [{ text: column(left, width - widthOfLine(right) - 1), tone }, { text: " " }, ...right];
  }

  async #older(): Promise<void> {
    try {
      if (this.#scroll.endsSoon) {
        const older = await this.#client.older();
        this.#items.unshift(...older.map((message) => this.#messageItem(message)));
        this.#options.redraw();
      }
      this.#scroll.by(1);
    } catch (error) {
      this.#tell(error);
    }
    this.#options.redraw();
  }

  #tell(error: unknown): void {
    this.#notice = [cleanText(explain(error))];
    this.#options.redraw();
  }
}
