/**
 * The chat on the screen: what was typed goes to a command or into a conversation, and what the client tells
 * goes into {@link Talks}. It owns what is open, what is typed and how far one has scrolled.
 */
import { type ConnectionStatus, type Signal, type SottoClient, SottoError } from "../client/mod.ts";
import type { ConversationId } from "../protocol/mod.ts";
import { type CommandHost, runCommand } from "./chat_commands.ts";
import { chatFrame } from "./chat_view.ts";
import { cleanText } from "./clean_text.ts";
import { COMMAND_NAMES, isQuit, messageOf, readCommand } from "./commands.ts";
import { Drafts } from "./drafts.ts";
import { explain } from "./explain.ts";
import type { FileStore } from "./file_store.ts";
import type { Frame, Page, Size } from "./frame.ts";
import type { Key } from "./keyboard.ts";
import { LineEditor } from "./line_editor.ts";
import { People } from "./people.ts";
import type { Profile } from "./profile.ts";
import { Scroll } from "./scroll.ts";
import type { Account } from "./sign_in.ts";
import type { Talk } from "./talk.ts";
import { Talks } from "./talks.ts";

/** What the chat needs. */
export interface ChatOptions {
  readonly account: Account;
  readonly store: FileStore;
  readonly profile: Profile;
  readonly redraw: () => void;
}

const TICK_MS = 1_000;
/** Another typing mark is sent after this long; milliseconds. The others forget one after six seconds. */
const TYPING_AGAIN_MS = 3_000;

/** See the head of this file. */
export class Chat implements Page, AsyncDisposable {
  /** Resolves when the person wants to end. */
  readonly ended: Promise<void>;
  readonly #options: ChatOptions;
  readonly #client: SottoClient;
  readonly #people: People;
  readonly #talks: Talks;
  readonly #drafts: Drafts;
  readonly #editor = new LineEditor();
  readonly #scroll = new Scroll();
  readonly #end = Promise.withResolvers<void>();
  readonly #ticker: ReturnType<typeof setInterval>;
  #talk: Talk | null = null;
  #notice: readonly string[] = [];
  #typingSince = 0;
  /** What `/yes` would do, where that was asked last. */
  #asked: (() => Promise<void>) | null = null;

  constructor(options: ChatOptions) {
    this.#options = options;
    this.ended = this.#end.promise;
    const { account, store, redraw } = options;
    this.#client = account.client;
    this.#people = new People(account.client.api, redraw);
    this.#people.learn(account.client.session.userId, account.username);
    this.#talks = new Talks(account.client, this.#people);
    this.#drafts = new Drafts(account.client, store, redraw);
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    void this.#read();
    account.client.connect();
  }

  /** How many messages were typed and are not stored by the server. */
  get waiting(): number {
    return this.#drafts.count;
  }

  /** The connection has changed. */
  onStatus(status: ConnectionStatus): void {
    if (status.state === "live") void this.#tryTo(() => this.#catchUp());
    if (status.state === "stopped" && status.reason.code !== "closed") {
      void this.#options.profile.forgetSession();
    }
    this.#options.redraw();
  }

  /** Somebody types, or has read. */
  onSignal(signal: Signal): void {
    this.#talks.signal(signal);
    if (signal.type === "report_filed") this.#notice = ["There is a new report: npm run admin -- reports"];
    this.#options.redraw();
  }

  /** The server refused something that nobody waits for. */
  onProblem(error: SottoError): void {
    this.#notice = [explain(error)];
    this.#options.redraw();
  }

  render(size: Size): Frame {
    const { account } = this.#options;
    const { frame, mostScroll } = chatFrame(
      {
        people: this.#people,
        talks: this.#talks,
        drafts: this.#drafts,
        self: account.username,
        selfId: this.#client.session.userId,
        server: account.server,
        status: this.#client.status,
        talk: this.#talk,
        notice: this.#notice,
        scroll: this.#scroll.lines,
        now: Date.now(),
        typed: (width) => this.#editor.visible(width),
      },
      size,
    );
    this.#scroll.drawn(size.rows, mostScroll);
    return frame;
  }

  press(key: Key): void {
    switch (key.kind) {
      case "interrupt":
        return this.#end.resolve();
      case "end_of_input":
        if (this.#editor.text === "") this.#end.resolve();
        return;
      case "enter":
        return this.#enter();
      case "tab":
        return this.#complete();
      case "page_up":
        return this.#talk === null ? this.#scroll.by(-1) : void this.#tryTo(() => this.#older());
      case "page_down":
        this.#scroll.by(this.#talk === null ? 1 : -1);
        return this.#markRead();
      default:
        if (this.#editor.press(key)) this.#sayTyping();
    }
  }

  /** Stops drawing and closes the connection; the session lives on. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#ticker);
    await this.#client.close();
  }

  #enter(): void {
    const text = this.#editor.text;
    this.#editor.text = "";
    this.#notice = [];
    this.#scroll.toEnd();
    const asked = this.#asked;
    this.#asked = null;
    if (text.trim() === "") return;
    const command = readCommand(text);
    if (command !== null && isQuit(command.name)) return this.#end.resolve();
    if (command?.name === "yes" && asked !== null) return void this.#tryTo(asked);
    if (command !== null) return void this.#tryTo(() => runCommand(this.#host(), command));
    if (this.#talk === null) {
      this.#notice = ["Open a conversation first: /open NAME, or /new NAME"];
      this.#editor.text = text;
      return;
    }
    this.#sayTyping();
    const { id } = this.#talk.conversation;
    void this.#tryTo(() => this.#drafts.add(id, messageOf(text)));
  }

  /** What commands may do with the chat. */
  #host(): CommandHost {
    return {
      client: this.#client,
      people: this.#people,
      talks: this.#talks,
      profile: this.#options.profile,
      talk: this.#talk,
      open: (talk) => this.#open(talk),
      older: () => this.#older(),
      say: (lines) => {
        this.#notice = lines.map(cleanText);
      },
      ask: (lines, then) => {
        this.#notice = lines.map(cleanText);
        this.#asked = then;
      },
      end: () => this.#end.resolve(),
    };
  }

  async #open(talk: Talk | null): Promise<void> {
    this.#talk = talk;
    this.#scroll.toEnd();
    this.#typingSince = 0;
    if (talk === null) return;
    this.#options.redraw();
    if (!talk.timeline.isLoaded) await this.#talks.page(talk);
    this.#markRead();
    await this.#talks.complete(talk);
  }

  /** Moves back in the log; where little is left to show the next page is read first. */
  async #older(): Promise<void> {
    const talk = this.#talk;
    if (talk === null) return;
    if (talk.timeline.older !== null && this.#scroll.endsSoon) await this.#talks.page(talk);
    this.#options.redraw();
    this.#scroll.by(1);
  }

  /** Reads what the client gives, for as long as there is one. */
  async #read(): Promise<void> {
    for (;;) {
      try {
        for await (const event of this.#client.events()) {
          await this.#talks.take(event, (id) => this.#isShown(id));
          if (event.type === "conversation_left" && this.#isShown(event.conversation_id)) await this.#open(null);
          this.#markRead();
          this.#options.redraw();
        }
        return;
      } catch (error) {
        if (!(error instanceof SottoError) || !error.retryable) return this.#fail(error);
        // The entry waits in the store: it is read again.
        await new Promise((resolve) => setTimeout(resolve, TICK_MS));
      }
    }
  }

  /** Connected again: the list may have changed, and what was open may have had no page yet. */
  async #catchUp(): Promise<void> {
    await this.#talks.refresh();
    if (this.#talk !== null && !this.#talk.timeline.isLoaded) await this.#talks.page(this.#talk);
    this.#markRead();
  }

  #isShown(id: ConversationId): boolean {
    return this.#talk?.conversation.id === id;
  }

  /** What is on the screen counts as read, unless one has scrolled back. */
  #markRead(): void {
    const talk = this.#talk;
    if (talk === null || this.#scroll.lines > 0) return;
    talk.unread = 0;
    const { lastSeq } = talk.timeline;
    if (lastSeq > talk.markedRead && this.#client.markRead(talk.conversation.id, lastSeq)) talk.markedRead = lastSeq;
  }

  #sayTyping(): void {
    if (this.#talk === null) return;
    const { text } = this.#editor;
    const { id } = this.#talk.conversation;
    const isTyping = text !== "" && !text.startsWith("/");
    if (!isTyping) {
      if (this.#typingSince > 0) this.#client.typing(id, false);
      this.#typingSince = 0;
    } else if (Date.now() - this.#typingSince > TYPING_AGAIN_MS && this.#client.typing(id, true)) {
      this.#typingSince = Date.now();
    }
  }

  /** Completes the last word: a command, or somebody's name. */
  #complete(): void {
    const [, before = "", word = ""] = /^(.*?)(\S*)$/su.exec(this.#editor.text) ?? [];
    if (word === "") return;
    const titles = this.#talks.list.map((talk) => this.#talks.title(talk));
    const names = before === "" ? COMMAND_NAMES : [...new Set([...titles, ...this.#people.names])];
    const fitting = names.filter((name) => name.toLowerCase().startsWith(word.toLowerCase()));
    const [first] = fitting;
    if (first !== undefined && fitting.length === 1) this.#editor.text = `${before}${first} `;
    else if (fitting.length > 1) this.#notice = [fitting.slice(0, 20).join("  ")];
  }

  #tick(): void {
    this.#markRead();
    this.#options.redraw();
  }

  async #tryTo(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#fail(error);
    }
    this.#options.redraw();
  }

  #fail(error: unknown): void {
    this.#notice = [cleanText(explain(error))];
    this.#options.redraw();
  }
}
