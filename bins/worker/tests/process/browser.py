"""Looks at the page as a person would: base address, token, folder for pictures, a job to watch, browser, driver."""

import sys
import tempfile
import urllib.request
from pathlib import Path

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

base, token, pictures, job, browser, driver = sys.argv[1:]
pictures = Path(pictures).resolve()

options = webdriver.ChromeOptions()
options.binary_location = browser
for argument in (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--disable-dev-shm-usage", f"--user-data-dir={tempfile.mkdtemp()}",
):
    options.add_argument(argument)
options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
page = webdriver.Chrome(options=options, service=Service(driver))


def until(what, look, seconds=40):
    # An element that was drawn anew meanwhile is looked for again.
    wait = WebDriverWait(page, seconds, 0.1, ignored_exceptions=[StaleElementReferenceException])
    wait.until(lambda _: look(), message=what)


def one(selector):
    return page.find_element(By.CSS_SELECTOR, selector)


def shown(selector):
    return [element for element in page.find_elements(By.CSS_SELECTOR, selector) if element.is_displayed()]


def text(selector="body"):
    return one(selector).text


def picture(name):
    assert page.save_screenshot(str(pictures / name)), f"{pictures / name} cannot be written"


def begin(job):
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    straight.open(urllib.request.Request(f"{base}/invoke", job.encode(), headers)).read()


def look(thread):
    page.get(f"{base}/ui/#{thread}")
    page.refresh()


try:
    page.set_window_size(1200, 900)
    # The files need no token; what they show does, and the page asks for it.
    page.get(f"{base}/ui/")
    until("the page asks for a token", lambda: one("#settings-dialog").get_attribute("open") is not None)
    one("#token").send_keys(token)
    one("#settings-form button.primary").click()
    until("the list comes", lambda: "ui-failed" in text("#recent"))

    begin(job)
    look("ui-live")
    until("the job is live", lambda: text("#thread-status") == "running")
    until("tokens come", lambda: len(text("#timeline")) > 60)
    until("sub-agents stand under their calls", lambda: len(shown(".call .agent .item")) >= 2)
    until("they write", lambda: any(len(says.text) > 60 for says in shown(".call .agent .turn.open .says")))
    picture("ui-running.png")
    before = len(text("#timeline"))
    until("it grows without a reload", lambda: len(text("#timeline")) > before or text("#thread-status") != "running")
    until("it ends", lambda: text("#thread-status") == "completed")
    assert not shown(".turn.open"), "nothing is open after the end"
    assert text("#tab-todos") == "Todos (3/3)", text("#tab-todos")
    recent = text("#recent")
    assert all(thread in recent for thread in ("ui-live", "ui-files", "ui-failed")), recent

    # A finished job, by keyboard: open it, go to its files.
    one("body").send_keys("/")
    until("the slash leads to the box", lambda: page.switch_to.active_element.get_attribute("id") == "thread-id")
    page.switch_to.active_element.send_keys("ui-files" + Keys.ENTER)
    until("the other thread is shown", lambda: text("#thread-title") == "ui-files" and text("#thread-status") == "completed")
    one("#tab-timeline").send_keys(Keys.ARROW_RIGHT)
    until("the todos", lambda: one("#tab-todos").get_attribute("aria-selected") == "true")
    page.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    until("the files are listed", lambda: "/notes.md" in text("#files") and "/summary.md" in text("#files"))
    for summary in page.find_elements(By.CSS_SELECTOR, "#files summary"):
        summary.click()
    until("their text", lambda: "gamma line" in text("#files"))
    assert shown("#files .diff .come"), "the last change of an edited file"
    assert one("#files a[download]").get_attribute("href").startswith("blob:")
    assert "Tokens" in text("#facts") and "Model calls" in text("#facts"), text("#facts")
    picture("ui-finished.png")

    # A failed job, on a phone, in the dark.
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    page.set_window_size(420, 860)
    look("ui-failed")
    until("the error in words", lambda: "401" in text("#failure"))
    assert text("#thread-status") == "failed"
    assert not shown("nav") and shown("#menu"), "the list makes room"
    width = page.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width <= 0, f"{width} pixels stick out"
    picture("ui-failed.png")
    one("#menu").click()
    until("the list comes back", lambda: shown("nav"))

    elsewhere = page.execute_script(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
        ".filter((name) => !name.startsWith(location.origin) && !/^(data|blob):/.test(name))")
    assert not elsewhere, elsewhere
    # The first questions go out without a token, and are refused.
    loud = [line for line in page.get_log("browser") if line["level"] == "SEVERE" and "401" not in line["message"]]
    assert not loud, loud
finally:
    page.quit()
