//! The pictures of the READMEs. With `AUTHFLOW_README_IMAGES=1` they are taken anew; without, they have to be of the pages as they
//! are: each holds the words of its page.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use crate::chromium::{Browsers, with_browsers};
use crate::demo::Demo;
use crate::page::Page;
use crate::samples::Samples;

/// A picture: its file, and the screen that it is of.
struct Picture {
    file: &'static str,
    width: u32,
    height: u32,
    dark: bool,
}

const ACCOUNTS: [Picture; 2] = [
    Picture { file: "crates/web/common/images/accounts.png", width: 800, height: 1130, dark: false },
    Picture { file: "crates/web/common/images/accounts-phone.png", width: 390, height: 1010, dark: true },
];

const DEMO: [Picture; 2] = [
    Picture { file: "crates/cli/images/demo.png", width: 1280, height: 900, dark: false },
    Picture { file: "crates/cli/images/demo-phone.png", width: 390, height: 1010, dark: true },
];

/// A picture of more is one that nobody waits for.
const MAX_SIZE: usize = 200 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pictures_of_the_accounts_page_are_of_this_one() {
    with_browsers(async |browsers: Arc<Browsers>| {
        let samples = Samples::start().await;
        let page = browsers.open().await;
        page.goto(&samples.url("accounts-connected")).await;
        for picture in ACCOUNTS {
            picture.is_of(&page, "body").await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pictures_of_the_demo_are_of_this_one() {
    with_browsers(async |browsers: Arc<Browsers>| {
        let demo = Demo::start().await;
        let page = browsers.open().await;
        demo.connect(&page, "rfc").await;
        for picture in DEMO {
            // What it says of addresses and of the time is another each time.
            picture.is_of(&page, "h1, h1 + p, h2, h3, button").await;
        }
    })
    .await;
}

impl Picture {
    fn path(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(self.file)
    }

    async fn is_of(&self, page: &Page, words_of: &str) {
        page.show_on(self.width, self.dark).await;
        page.is_on_screen(self.width, self.height.into()).await;
        let words =
            "return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText).join(' ')";
        let words = page.driver().execute(words, vec![json!(words_of)]).await.unwrap();
        let words = words.as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.len() > 100, "{words}");
        if std::env::var_os("AUTHFLOW_README_IMAGES").is_some() {
            std::fs::write(self.path(), with_words(&page.screen().await, &words)).unwrap();
        }
        let picture = std::fs::read(self.path()).unwrap();
        assert!(picture.len() < MAX_SIZE, "{}: {} bytes", self.file, picture.len());
        let how = "take it anew, with AUTHFLOW_README_IMAGES=1, and look at it";
        assert_eq!(words_in(&picture).as_deref(), Some(&*words), "{}: {how}", self.file);
    }
}

/// What is before the chunks of a PNG, and how long the last one is.
const SIGNATURE: usize = 8;
const END: usize = 12;
/// A keyword, and that neither compression nor a language follows.
const WORDS: &[u8] = b"Description\0\0\0\0\0";

/// The picture with these words in a chunk of its own, which nothing shows.
fn with_words(png: &[u8], words: &str) -> Vec<u8> {
    let chunk = [b"iTXt", WORDS, words.as_bytes()].concat();
    let length = u32::try_from(chunk.len() - 4).unwrap().to_be_bytes();
    let (before, end) = png.split_at(png.len() - END);
    [before, &length, &chunk, &crc(&chunk).to_be_bytes(), end].concat()
}

fn words_in(png: &[u8]) -> Option<String> {
    let mut rest = png.get(SIGNATURE..)?;
    loop {
        let length = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?) as usize;
        let (kind, data) = rest.get(4..8 + length)?.split_at(4);
        if let (b"iTXt", Some(words)) = (kind, data.strip_prefix(WORDS)) {
            return String::from_utf8(words.to_vec()).ok();
        }
        rest = rest.get(END + length..)?;
    }
}

/// The checksum of a chunk (ISO 3309).
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 },
        )
    })
}
