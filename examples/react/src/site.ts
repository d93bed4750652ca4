/** The Django site, which is of another origin: what it is asked, and by whom. */

import { createContext, use } from "react";

export interface Story {
  id: string;
  title: string;
  summary: string;
}

export interface PastTurn {
  number: number;
  user: string;
  assistant: string;
  cut: boolean;
}

export interface PastConversation {
  id: string;
  startedAt: string;
  turns: PastTurn[];
}

/** Says what the site said, or that it said nothing; the message is for the user. */
export class SiteError extends Error {
  name = "SiteError";
}

export class Site {
  #origin: string;
  /** In memory: what other scripts of this origin cannot read in storage, they cannot take. */
  #token = "";

  constructor(origin: string) {
    this.#origin = origin.replace(/\/$/, "");
  }

  async signIn(): Promise<void> {
    this.#token = (await this.#ask<{ token: string }>("POST", "/sign-in/")).token;
  }

  async stories(): Promise<Story[]> {
    return (await this.#ask<{ stories: Story[] }>("GET", "/stories/")).stories;
  }

  async conversations(story: Story): Promise<PastConversation[]> {
    const path = `/stories/${story.id}/conversations/`;
    return (await this.#ask<{ conversations: PastConversation[] }>("GET", path)).conversations;
  }

  /** A ticket opens one socket, within half a minute: ask for another each time, also to come back. */
  async ticket(): Promise<string> {
    return (await this.#ask<{ ticket: string }>("POST", "/ticket/")).ticket;
  }

  /** Where one talks about a story. Nothing in it says who one is: addresses end in logs. */
  socketOf(story: Story): string {
    return `${this.#origin.replace(/^http/, "ws")}/stories/${story.id}/ws/`;
  }

  async #ask<T>(method: "GET" | "POST", path: string): Promise<T> {
    const headers: HeadersInit = this.#token ? { Authorization: `Bearer ${this.#token}` } : {};
    let answer: Response;
    try {
      answer = await fetch(this.#origin + path, { method, headers, credentials: "omit" });
    } catch {
      // Browsers do not tell a page whether a site is away or keeps it out.
      throw new SiteError("The story house does not answer. Is it running, and does it list this page's origin?");
    }
    if (!answer.ok) {
      const said = (await answer.json().catch(() => null)) as { message?: string } | null;
      throw new SiteError(said?.message ?? `The story house answered with an error (${answer.status}).`);
    }
    return (await answer.json()) as T;
  }
}

const SiteContext = createContext<Site | null>(null);
export const SiteProvider = SiteContext;

export function useSite(): Site {
  const site = use(SiteContext);
  if (!site) {
    throw new Error("Put <SiteProvider value={site}> around this component.");
  }
  return site;
}
