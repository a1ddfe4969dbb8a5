//! Every sentence and label of the pages.

use std::borrow::Cow;

/// A sentence or a label. What stands in braces is filled in; a page that has nothing for it leaves it as it stands.
pub type Text = Cow<'static, str>;

/// The text of a page that says one thing: what happened, what it means, and what to do. An empty part is left out.
///
/// `{provider}` is the name of the provider on those pages that are about one.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Message {
    /// The heading, and the title of the window.
    pub title: Text,
    /// What happened.
    pub happened: Text,
    /// What it means for the user.
    pub means: Text,
    /// What to do.
    pub to_do: Text,
}

impl Message {
    /// A message by its four parts.
    pub fn new(
        title: impl Into<Text>,
        happened: impl Into<Text>,
        means: impl Into<Text>,
        to_do: impl Into<Text>,
    ) -> Self {
        Self { title: title.into(), happened: happened.into(), means: means.into(), to_do: to_do.into() }
    }

    const fn fixed(
        title: &'static str,
        happened: &'static str,
        means: &'static str,
        to_do: &'static str,
    ) -> Self {
        Self {
            title: Cow::Borrowed(title),
            happened: Cow::Borrowed(happened),
            means: Cow::Borrowed(means),
            to_do: Cow::Borrowed(to_do),
        }
    }
}

macro_rules! texts {
    ($($(#[$docs:meta])* $field:ident: $type:ty = $english:expr;)*) => {
        /// The sentences and labels of [`DefaultPages`](super::DefaultPages), and the language they are in.
        ///
        /// Begin with [`english`](Self::english) and replace what shall be said otherwise. The texts are plain: what looks like
        /// markup in them is shown as it is written.
        ///
        /// ```
        /// let mut texts = authflow_web::Texts::english();
        /// texts.lang = "de".into();
        /// texts.accounts_title = "Verbundene Konten".into();
        /// texts.connect = "{provider} verbinden".into();
        /// ```
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub struct Texts {
            $($(#[$docs])* pub $field: $type,)*
        }

        impl Texts {
            /// The texts in English.
            #[must_use]
            pub const fn english() -> Self {
                Self { $($field: $english,)* }
            }

            /// Each text replaced by its name in brackets, and the names.
            #[cfg(test)]
            pub(super) fn marked() -> (Self, Vec<String>) {
                let (mut texts, mut names) = (Self::english(), Vec::new());
                $(marked::Mark::mark(&mut texts.$field, stringify!($field), &mut names);)*
                (texts, names)
            }
        }
    };
}

const fn text(text: &'static str) -> Text {
    Cow::Borrowed(text)
}

texts! {
    /// The language tag (BCP 47).
    lang: Text = text("en");
    /// Whether the language is written from right to left.
    right_to_left: bool = false;
    /// The months, January first.
    months: [Text; 12] = [
        text("January"), text("February"), text("March"), text("April"), text("May"), text("June"), text("July"),
        text("August"), text("September"), text("October"), text("November"), text("December"),
    ];
    /// A time, of `{day}`, `{month}` (a name of [`months`](Self::months)), `{year}` and `{time}` (hours and minutes). All
    /// times are in UTC, and the text says so.
    date_time: Text = text("{day} {month} {year}, {time}\u{a0}UTC");

    /// The heading of the accounts page, and the label of links to it.
    accounts_title: Text = text("Connected accounts");
    /// The sentence below it.
    accounts_lead: Text = text(
        "These accounts at other services may be used here for you. You can disconnect each of them whenever you like, unless it \
         says otherwise."
    );
    /// The heading of the accounts page's explanation while nothing is connected.
    empty_title: Text = text("Nothing is connected yet");
    /// That explanation.
    empty_explained: Text = text(
        "Choose a service below. You will be taken there to sign in and to see what is asked for; only then is it connected. \
         Your password stays with the service, and you can disconnect it here whenever you like."
    );
    /// Where there is no provider to choose.
    no_providers: Text = text(
        "No service has been set up yet. This is a task for the people who run this application."
    );
    /// Where one connection could not be read.
    unreadable_one: Text = text(
        "One more connection cannot be read at the moment, so it is not shown. If it stays like that, please tell the people \
         who run this application."
    );
    /// Where `{count}` connections could not be read.
    unreadable_many: Text = text(
        "{count} more connections cannot be read at the moment, so they are not shown. If it stays like that, please tell the \
         people who run this application."
    );

    /// A provider without a connection.
    not_connected: Text = text("Not connected");
    /// The button that connects `{provider}`.
    connect: Text = text("Connect {provider}");
    /// The button that connects one more account.
    connect_another: Text = text("Connect another account");
    /// The button that connects an account again.
    reconnect: Text = text("Reconnect");
    /// The button that disconnects an account.
    disconnect: Text = text("Disconnect");
    /// Instead of the account's name, where it is not known.
    account_unnamed: Text = text("Your {provider} account");

    /// The label before the scopes that were granted.
    granted: Text = text("Allowed");
    /// Where no scope was granted, or the provider has none.
    granted_none: Text = text("No single permissions are named");
    /// The label before the scopes that were asked for and not granted.
    missing: Text = text("Not allowed");
    /// What scopes that were not granted mean.
    missing_explained: Text = text(
        "This was asked for and not given. What needs it does not work here. Reconnect if you want to be asked again."
    );
    /// What opens the rest of a long list, of `{count}`.
    more: Text = text("{count} more");
    /// The label before the time of connecting.
    connected_since: Text = text("Connected since");
    /// The label before how long the access lasts.
    access: Text = text("Access");
    /// The access ends at `{time}`, and is refreshed.
    access_until_refreshed: Text = text("Good until {time}; it renews itself");
    /// The access ends at `{time}`, and cannot be refreshed.
    access_until_ends: Text = text("Good until {time}; after that you need to reconnect");
    /// The access has ended, and is refreshed when it is needed.
    access_refreshed_on_use: Text = text("Renews itself the next time it is used");
    /// The access ends at `{time}`, and is no longer refreshed.
    access_until_ended: Text = text("Not renewed any more; ends on {time} at the latest");
    /// The access ended at `{time}`.
    access_ended: Text = text("Ran out on {time}");
    /// The access never ends.
    access_forever: Text = text("Does not run out");
    /// The provider does not say when the access ends.
    access_unknown: Text = text("{provider} does not say how long");
    /// The provider does not say when the access ends, and it is refreshed.
    access_unknown_refreshed: Text = text("Renews itself when needed");
    /// The refresh ends at `{time}`.
    refresh_until: Text = text("It can renew itself until {time}.");
    /// `{provider}` is not asked for a refresh until `{time}`: it said so, or could not answer.
    refresh_paused: Text = text("{provider} cannot renew it just now. The next try is after {time}.");
    /// The label before the time of the last refresh.
    last_refreshed: Text = text("Last renewed");

    /// A connection that works.
    health_good: Text = text("Working");
    /// A connection that works again after a pause: its token is over, and its provider cannot refresh it just now.
    health_paused: Text = text("Paused");
    /// A connection whose refresh is under way.
    health_in_doubt: Text = text("Checking");
    /// What that means.
    in_doubt_explained: Text = text(
        "The access is being renewed, and the answer is not there yet. You need not do anything."
    );
    /// A connection whose provider is no longer set up.
    health_not_set_up: Text = text("Not in use");
    /// What that means.
    not_set_up_explained: Text = text(
        "{provider} is no longer set up here, so this connection is not used, and it cannot be disconnected on this page. To \
         withdraw the access, remove this application in the settings of your account at {provider}."
    );
    /// A connection that its user has to connect again.
    health_reconnect: Text = text("Needs you");
    /// Since `{time}`.
    reconnect_since: Text = text("Since {time}.");
    /// Why: the provider no longer accepts the connection.
    reconnect_refused: Text = text(
        "{provider} no longer accepts this connection: it was ended there, or has expired. Reconnect to go on."
    );
    /// Why: the answer of a refresh was lost.
    reconnect_rotation_lost: Text = text(
        "The access was being renewed when something failed, and {provider} does not accept it any more. Reconnect to go on."
    );
    /// Why: a refresh brought the tokens of another account.
    reconnect_account_changed: Text = text(
        "{provider} answered for another account than this one, so its answer was not used. Reconnect to go on."
    );
    /// Why: the access is over, and cannot be refreshed.
    reconnect_expired: Text = text(
        "The access has run out, and {provider} does not renew it without you. Reconnect to go on."
    );
    /// Why: for another reason.
    reconnect_other: Text = text("This connection has come to its end. Reconnect to go on.");

    /// After `{provider}` was connected.
    notice_connected: Text = text("{provider} is connected.");
    /// After `{provider}` was disconnected.
    notice_disconnected: Text = text("{provider} is disconnected, and the access has been withdrawn there.");
    /// After `{provider}` was disconnected, and could not be told.
    notice_disconnected_here: Text = text(
        "{provider} is disconnected here, and nothing of it is kept. {provider} itself could not be told: to withdraw the access \
         there, too, remove this application in the settings of your account at {provider}."
    );
    /// After there was nothing to disconnect at `{provider}`.
    notice_was_not_connected: Text = text("There was nothing to disconnect: this {provider} account is not connected.");

    /// The heading of the page where one signs in.
    sign_in_title: Text = text("Sign in");
    /// The sentence below it.
    sign_in_lead: Text = text("Choose a service. You will be taken there, and then back here.");
    /// The button that signs in with `{provider}`.
    sign_in: Text = text("Sign in with {provider}");
    /// The link to where one signs in to the application.
    sign_in_here: Text = text("Sign in");

    /// The button that tries the same again.
    try_again: Text = text("Try again");
    /// The link that goes on.
    go_on: Text = text("Go on");
    /// The link that loads the same page again.
    reload: Text = text("Reload");
    /// When to reload, in `{count}` seconds.
    wait_seconds: Text = text("It should work again in {count} s.");
    /// When to reload, in `{count}` minutes.
    wait_minutes: Text = text("It should work again in {count} min.");

    /// Nobody is signed in.
    signed_out: Message = Message::fixed(
        "Please sign in",
        "Nobody is signed in here, and your connected accounts are shown to nobody but you.",
        "",
        "Sign in as you usually do, then come back to this page.",
    );
    /// The provider sent the user back, and nobody is signed in any more.
    sign_in_then_connect: Message = Message::fixed(
        "Please sign in, then connect again",
        "{provider} sent you back, but nobody is signed in here any more.",
        "Nothing was connected.",
        "Sign in as you usually do, then connect {provider} again.",
    );
    /// Another site led to connecting.
    confirm_foreign: Message = Message::fixed(
        "Connect {provider}?",
        "A link from elsewhere brought you here to connect an account at {provider}.",
        "Nothing has happened yet. If you did not expect this, close this page.",
        "If you do want to connect it, go on.",
    );
    /// The address was typed, or is a bookmark.
    confirm: Message = Message::fixed(
        "Connect {provider}?",
        "You have opened the address that connects an account at {provider}.",
        "Nothing has happened yet.",
        "If you want to connect it, go on.",
    );
    /// Another site asked to disconnect.
    disconnect_refused: Message = Message::fixed(
        "Nothing was disconnected",
        "The request to disconnect an account did not come from a page of this application.",
        "Your accounts are connected as before.",
        "If you want to disconnect one, please do it among your connected accounts.",
    );
    /// A request to disconnect does not say which account is meant.
    disconnect_unclear: Message = Message::fixed(
        "Nothing was disconnected",
        "The request to disconnect an account did not say clearly which one.",
        "Your accounts are connected as before.",
        "If you want to disconnect one, please do it among your connected accounts.",
    );
    /// The user said no.
    denied: Message = Message::fixed(
        "{provider} was not connected",
        "The access was declined at {provider}.",
        "Nothing was connected, and nothing has changed.",
        "If that was not what you wanted, you can try again.",
    );
    /// The provider does not answer.
    failed_unavailable: Message = Message::fixed(
        "{provider} was not connected",
        "{provider} did not answer, or cannot be reached at the moment.",
        "Nothing was connected, and nothing has changed.",
        "Please wait a moment, then try again.",
    );
    /// The provider said no, or something that the protocol does not know.
    failed_refused: Message = Message::fixed(
        "{provider} was not connected",
        "{provider} refused, or gave an answer that cannot be understood here.",
        "Nothing was connected, and nothing has changed.",
        "Please try again. If it happens once more, tell the people who run this application.",
    );
    /// The application's operator has to act.
    failed_configuration: Message = Message::fixed(
        "{provider} cannot be connected now",
        "The way in which this application is set up does not fit what {provider} asks for.",
        "You did nothing wrong. Trying again will not help.",
        "Please tell the people who run this application that {provider} cannot be connected: only they can mend it.",
    );
    /// What the provider gave could not be saved.
    failed_not_saved: Message = Message::fixed(
        "{provider} was not connected",
        "{provider} gave the access, but it could not be saved here.",
        "Nothing was connected. The access was given back, where {provider} takes it back.",
        "Please wait a moment, then try again.",
    );
    /// The application did not sign the account in.
    failed_sign_in_refused: Message = Message::fixed(
        "You are not signed in",
        "{provider} sent you back, but your account there could not be used to sign in here.",
        "Nothing was connected.",
        "Try again with another account, or ask the people who run this application whether yours may be used.",
    );
    /// The answer was too large to be kept.
    failed_too_large: Message = Message::fixed(
        "{provider} was not connected",
        "The answer of {provider} was too large to be kept while you sign in.",
        "Nothing was connected.",
        "Sign in here first, then connect {provider} again.",
    );
    /// Anything else.
    failed_other: Message = Message::fixed(
        "{provider} was not connected",
        "Something went wrong on the way back from {provider}.",
        "Nothing was connected, and nothing has changed.",
        "Please begin again. If it happens once more, tell the people who run this application.",
    );
    /// The callback fits no flow of this browser.
    not_accepted: Message = Message::fixed(
        "This link cannot be used here",
        "You have come back from {provider}, but nothing that was begun in this browser fits.",
        "Nothing was connected. This happens when the link belongs to another browser or another person, or when this site \
         may not keep cookies.",
        "Begin again among your connected accounts. If it happens once more, allow cookies for this site.",
    );
    /// The flow took too long.
    expired: Message = Message::fixed(
        "That took too long",
        "You began to connect {provider}, but more time has passed than is allowed for it.",
        "Nothing was connected, and nothing has changed.",
        "Please begin again.",
    );
    /// The flow has ended before, or is about to.
    ended: Message = Message::fixed(
        "This attempt has ended",
        "You have come back from {provider} in a way that can be used only once, and it has been used or is no longer known here.",
        "Nothing has happened now. What comes of the first time has not changed.",
        "Your connected accounts show whether {provider} is connected. Begin again there if it is not.",
    );
    /// Another user is signed in now.
    user_changed: Message = Message::fixed(
        "You are signed in as somebody else",
        "It was another user who began to connect {provider} in this browser.",
        "Nothing was connected, neither for that user nor for you.",
        "Sign in as that user and begin again, or connect {provider} for yourself among your connected accounts.",
    );
    /// A step between.
    going_on: Message = Message::fixed("One moment", "You are being taken on.", "", "If nothing happens, go on yourself.");
    /// Something does not answer.
    unavailable: Message = Message::fixed(
        "One moment, please",
        "Something that this page needs does not answer at the moment.",
        "Nothing is lost.",
        "Reload this page to go on.",
    );
    /// There is no such page.
    not_found: Message = Message::fixed(
        "There is no such page",
        "Nothing was found at this address.",
        "",
        "Perhaps you find what you were looking for among your connected accounts.",
    );
    /// The method is not allowed.
    method_not_allowed: Message = Message::fixed(
        "This address cannot be opened like that",
        "It belongs to a button on another page.",
        "Nothing has happened.",
        "Go to your connected accounts and use the button there.",
    );
    /// The request is too large.
    too_large: Message = Message::fixed(
        "That was too much",
        "Your browser sent more than is accepted here, so it was not read.",
        "Nothing has happened.",
        "Go to your connected accounts and begin again.",
    );
    /// The application failed.
    broken: Message = Message::fixed(
        "Something is broken here",
        "This application made a mistake and could not finish what you asked for.",
        "You did nothing wrong.",
        "Please try again later. If it stays like that, tell the people who run this application.",
    );
}

impl Default for Texts {
    fn default() -> Self {
        Self::english()
    }
}

#[cfg(test)]
mod marked {
    use super::{Message, Text};

    pub(super) trait Mark {
        fn mark(&mut self, name: &str, names: &mut Vec<String>);
    }

    impl Mark for Text {
        fn mark(&mut self, name: &str, names: &mut Vec<String>) {
            *self = format!("[{name}]").into();
            names.push(name.to_owned());
        }
    }

    impl Mark for bool {
        fn mark(&mut self, _: &str, _: &mut Vec<String>) {
            *self = !*self;
        }
    }

    impl Mark for [Text; 12] {
        fn mark(&mut self, name: &str, names: &mut Vec<String>) {
            for (index, month) in self.iter_mut().enumerate() {
                month.mark(&format!("{name}-{index}"), names);
            }
        }
    }

    impl Mark for Message {
        fn mark(&mut self, name: &str, names: &mut Vec<String>) {
            let parts = [&mut self.title, &mut self.happened, &mut self.means, &mut self.to_do];
            for (part, of) in parts.into_iter().zip(["title", "happened", "means", "to_do"]) {
                part.mark(&format!("{name}.{of}"), names);
            }
        }
    }
}
