/**
 * What mails say. Plain text, in the languages below; another one is a further entry of {@link TEXTS}.
 *
 * Nothing in them was typed by a person: whoever registers somebody else's address cannot use us to
 * send that person a text.
 */
import type { Mail } from "../platform/mail_transport.ts";

/** A language that mails are written in. */
export type MailLanguage = keyof typeof TEXTS;

/** What a mail is about, and what it carries. */
export type MailContent =
  | { readonly about: "sign_in" | "reset_password" | "verify_email"; readonly link: string }
  | { readonly about: "password_changed" | "email_changed" };

interface Text {
  readonly subject: string;
  readonly lines: (link: string) => readonly string[];
}

type Texts = Readonly<Record<MailContent["about"], Text>> & { readonly foot: (server: string) => string };

const EN: Texts = {
  sign_in: {
    subject: "Your link to sign in",
    lines: (link) => [
      "Open this link to sign in. It works once, within ten minutes:",
      link,
      "Did you not ask for it? Then do nothing.",
    ],
  },
  reset_password: {
    subject: "Choose a new password",
    lines: (link) => [
      "Open this link to choose a new password. It works once, within ten minutes:",
      link,
      "All your devices will be signed out then. Did you not ask for it? Then do nothing: your password stays as it is.",
    ],
  },
  verify_email: {
    subject: "Confirm your e-mail address",
    lines: (link) => [
      "Open this link to confirm that this address is yours. It works within 24 hours:",
      link,
      "Did you not ask for it? Then do nothing.",
    ],
  },
  password_changed: {
    subject: "Your password was changed",
    lines: () => [
      "The password of your account was changed, and your other devices were signed out.",
      "Was it not you? Then ask for a new password now, by “forgotten password”.",
    ],
  },
  email_changed: {
    subject: "Your e-mail address was changed",
    lines: () => [
      "Another e-mail address belongs to your account from now on. This one gets no more mails.",
      "Was it not you? Then sign in and change your password now, or ask the operator of the server.",
    ],
  },
  foot: (server) => `Sotto at ${server}`,
};

const DE: Texts = {
  sign_in: {
    subject: "Dein Link zum Anmelden",
    lines: (link) => [
      "Öffne diesen Link, um dich anzumelden. Er gilt einmal, zehn Minuten lang:",
      link,
      "Du hast ihn nicht angefordert? Dann tu einfach nichts.",
    ],
  },
  reset_password: {
    subject: "Wähle ein neues Passwort",
    lines: (link) => [
      "Öffne diesen Link, um ein neues Passwort zu wählen. Er gilt einmal, zehn Minuten lang:",
      link,
      "Alle deine Geräte werden dann abgemeldet. Du hast ihn nicht angefordert? Dann tu nichts: Dein Passwort bleibt.",
    ],
  },
  verify_email: {
    subject: "Bestätige deine E-Mail-Adresse",
    lines: (link) => [
      "Öffne diesen Link, um zu bestätigen, dass diese Adresse dir gehört. Er gilt 24 Stunden lang:",
      link,
      "Du hast ihn nicht angefordert? Dann tu einfach nichts.",
    ],
  },
  password_changed: {
    subject: "Dein Passwort wurde geändert",
    lines: () => [
      "Das Passwort deines Kontos wurde geändert, und deine anderen Geräte wurden abgemeldet.",
      "Das warst nicht du? Dann fordere jetzt über „Passwort vergessen“ ein neues an.",
    ],
  },
  email_changed: {
    subject: "Deine E-Mail-Adresse wurde geändert",
    lines: () => [
      "Zu deinem Konto gehört jetzt eine andere E-Mail-Adresse. Diese hier bekommt keine Mails mehr.",
      "Das warst nicht du? Dann melde dich an und ändere jetzt dein Passwort, oder frage den Betreiber des Servers.",
    ],
  },
  foot: (server) => `Sotto auf ${server}`,
};

const TEXTS = { en: EN, de: DE } as const;

/** The language that a person prefers of those we have, by `Accept-Language` (RFC 9110 section 12.5.4); else English. */
export function mailLanguage(headers: Pick<Headers, "get">): MailLanguage {
  const wished = (headers.get("accept-language") ?? "")
    .slice(0, 200)
    .split(",")
    .map((part, at) => {
      const [tag = "", quality] = part
        .trim()
        .toLowerCase()
        .split(/\s*;\s*q\s*=\s*/);
      const weight = quality === undefined ? 1 : Number(quality);
      return { name: tag.split("-")[0] ?? "", weight: Number.isFinite(weight) ? weight : 0, at };
    })
    .sort((a, b) => b.weight - a.weight || a.at - b.at);
  const found = wished.find(({ name, weight }) => weight > 0 && Object.hasOwn(TEXTS, name));
  return (found?.name as MailLanguage | undefined) ?? "en";
}

/** Writes a mail. `server`: the name under which people know the server. */
export function writeMail(
  to: string,
  content: MailContent,
  { language, server }: { readonly language: MailLanguage; readonly server: string },
): Mail {
  const texts = TEXTS[language];
  const { subject, lines } = texts[content.about];
  const paragraphs = [...lines("link" in content ? content.link : ""), `-- \n${texts.foot(server)}`];
  return { to, subject, text: `${paragraphs.join("\n\n")}\n` };
}
