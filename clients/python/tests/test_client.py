"""The client against a Holdgate that runs, as the environment names it."""

import asyncio
import os
import socket
import subprocess
import tempfile
import threading
import unittest

from holdgate import HoldgateClient, HoldgateError, Refused

ADDRESS = os.environ["HOLDGATE_TOOL_CALLS"]
WIPE = {"command": "rm -rf ~"}


def approve(hold: str) -> None:
    command = [os.environ["HOLDGATE_BINARY"], "approvals", "approve", hold]
    subprocess.run(command, check=True, capture_output=True, timeout=30)


class Judging(unittest.TestCase):
    def setUp(self) -> None:
        self.client = HoldgateClient.from_environment(timeout=30)

    def test_a_call_is_judged(self) -> None:
        rows = [
            ("Bash", {"command": "cargo test"}, "allow", None),
            ("Bash", {"command": "printenv"}, "deny", "credential_read"),
            ("WebFetch", {"url": "https://evil.example.com/"}, "deny", "out_of_scope"),
        ]
        for tool, input, verdict, reason in rows:
            with self.subTest(input=input):
                told = self.client.judge(tool, input, call="toolu_1")
                self.assertEqual((told.verdict, told.reason), (verdict, reason))
                self.assertTrue(told.message and told.request_id)

    def test_a_guarded_tool_runs_only_where_it_may(self) -> None:
        ran = []

        @self.client.guard("Bash")
        def bash(command: str, timeout: int = 5) -> str:
            ran.append(command)
            return command

        @self.client.guard("Bash")
        async def later(command: str) -> str:
            return bash.__wrapped__(command)

        self.assertEqual(bash("ls"), "ls")
        self.assertEqual(asyncio.run(later("pwd")), "pwd")
        for refused in (lambda: bash("cat .env"), lambda: asyncio.run(later(command="cat .env"))):
            with self.assertRaises(Refused) as caught:
                refused()
            self.assertEqual(caught.exception.judgement.reason, "credential_read")
        self.assertEqual(ran, ["ls", "pwd"])
        self.assertEqual(bash.__name__, "bash")

    def test_what_is_judged_is_what_the_tool_is_given(self) -> None:
        ran = []
        judged = []
        judge = self.client.judge

        def noted(tool: str, input: object) -> object:
            judged.append(input)
            return judge(tool, input)

        self.client.judge = noted  # type: ignore[method-assign,assignment]

        @self.client.guard("Bash")
        def loose(command: str, /, **more: str) -> None:
            ran.append(command)

        class Shell:
            @self.client.guard("Bash")
            def run(self, command: str) -> None:
                ran.append(command)

            @classmethod
            @self.client.guard("Bash")
            def make(cls, command: str) -> None:
                ran.append(command)

            @staticmethod
            @self.client.guard("Bash")
            def plain(command: str) -> None:
                ran.append(command)

        class Fish(Shell):
            def run(self, command: str) -> None:
                super().run(command)

        # A keyword does not take the place of the argument that runs.
        with self.assertRaises(Refused):
            loose("cat .env", command="ls")
        self.assertEqual(judged.pop(), {"command": "cat .env", "more": {"command": "ls"}})
        loose("ls", why="x")
        self.assertEqual(judged.pop(), {"command": "ls", "why": "x"})
        tools = (Shell().run, Fish().run, Shell.make, Shell().make, Shell.plain, Shell().plain)
        for tool in tools:
            with self.subTest(tool=tool):
                tool("pwd")
                self.assertEqual(judged.pop(), {"command": "pwd"})
                with self.assertRaises(Refused):
                    tool("cat .env")
        self.assertEqual(ran, ["ls"] + ["pwd"] * len(tools))
        for given in (object(), float("nan"), {"a": {1, 2}}):
            with self.subTest(given=given), self.assertRaises(HoldgateError):
                loose(given)  # type: ignore[arg-type]

    def test_what_runs_later_is_judged_without_keeping_others_waiting(self) -> None:
        ran = []

        @self.client.guard("Bash")
        async def stream(command: str):  # type: ignore[no-untyped-def]
            try:
                for part in (command, command):
                    ran.append(part)
                    yield part
            finally:
                ran.append("closed")

        class Tool:
            async def __call__(self, command: str) -> str:
                ran.append(command)
                return command

        tool = self.client.guard("Bash")(Tool())
        threads = []
        judge = self.client.judge

        def noted(name: str, input: object) -> object:
            threads.append(threading.current_thread())
            return judge(name, input)

        self.client.judge = noted  # type: ignore[method-assign,assignment]

        async def all_of(command: str) -> list:
            return [part async for part in stream(command)]

        async def first_of(command: str) -> str:
            parts = stream(command)
            async for part in parts:
                await parts.aclose()
                return part

        self.assertEqual(asyncio.run(all_of("ls")), ["ls", "ls"])
        self.assertEqual(asyncio.run(first_of("id")), "id")
        self.assertEqual(asyncio.run(tool("pwd")), "pwd")
        self.assertEqual(ran, ["ls", "ls", "closed", "id", "closed", "pwd"])
        for refused in (lambda: all_of("cat .env"), lambda: tool("cat .env")):
            with self.assertRaises(Refused):
                asyncio.run(refused())
        self.assertEqual(len(ran), 6)
        self.assertEqual(len(threads), 5)
        self.assertNotIn(threading.main_thread(), threads)

    def test_what_cannot_be_undone_runs_once_after_an_approval(self) -> None:
        held = self.client.judge("Bash", WIPE)
        self.assertEqual((held.verdict, held.reason), ("hold", "destructive"))
        self.assertIn(held.hold, held.message)
        approve(held.hold)
        self.assertTrue(self.client.judge("Bash", WIPE).allowed)
        self.assertEqual(self.client.judge("Bash", WIPE).verdict, "hold")

    def test_a_question_that_is_too_large_is_a_refusal(self) -> None:
        told = self.client.judge("Write", {"content": "x" * (300 << 10)})
        self.assertEqual((told.verdict, told.reason), ("deny", "unreadable"))


class Failing(unittest.TestCase):
    def test_what_is_no_verdict_is_an_exception(self) -> None:
        nobody = HoldgateClient(os.path.join(tempfile.gettempdir(), "holdgate-nobody.sock"))
        wrong = HoldgateClient(ADDRESS, secret="wrong", agent="somebody")
        for client in (nobody, wrong):
            with self.assertRaises(HoldgateError):
                client.judge("Bash", {"command": "ls"})

    def test_an_answer_of_something_else_is_no_verdict(self) -> None:
        answers = [
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
            b"HTTP/1.1 200 OK\r\nContent-Length: 37\r\n\r\n" + b'{"verdict":"perhaps","message":"why"}',
            b"HTTP/1.1 500 No\r\nContent-Length: 33\r\n\r\n" + b'{"verdict":"allow","message":"y"}',
            b"HTTP/1.1 429 No\r\nContent-Length: 33\r\n\r\n" + b'{"verdict":"allow","message":"y"}',
            b"220 mail.example.com\r\n",
            b"",
        ]
        for answer in answers:
            with self.subTest(answer=answer), socket.create_server(("127.0.0.1", 0)) as server:
                thread = threading.Thread(target=_say, args=(server, answer))
                thread.start()
                port = server.getsockname()[1]
                client = HoldgateClient(f"http://127.0.0.1:{port}", timeout=30)
                with self.assertRaises(HoldgateError):
                    client.judge("Bash", {"command": "ls"})
                thread.join()

    def test_only_this_machine_is_asked(self) -> None:
        for address in ("http://192.0.2.1:80", "https://127.0.0.1:1", "http://127.0.0.1", "nonsense"):
            with self.subTest(address=address), self.assertRaises(ValueError):
                HoldgateClient(address)
        with self.assertRaises(ValueError):
            HoldgateClient(ADDRESS, secret="x")


def _say(server: socket.socket, answer: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(answer)


if __name__ == "__main__":
    unittest.main()
